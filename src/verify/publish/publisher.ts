/** A publisher's actions on a repository: add a bundle, remove a release, refresh signatures. */

import { createHash, randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Product, Sha256, Version } from '../../model.ts';
import { moveFile, removeFile, statOf, TEMPORARY } from '../../system/files.ts';
import { isDeltaPath, readDelta } from '../deltas.ts';
import { type ChannelDocument, MAX_TARGETS, type ReleaseEntry, releaseShape, type TargetEntry } from '../documents.ts';
import { releasePath, storedPath } from '../names.ts';
import { refuse } from './insist.ts';
import { type Alone, entryOf, type Publisher, publish, republish, type Site } from './publish.ts';
import { channelDocument, channelNames, type Repository, readRepository } from './repository.ts';

/** A bundle's own description, after all its bytes have been verified. */
export type BundleFacts = Omit<ReleaseEntry, 'schema'>;

/** A complete bundle to publish, and the check of its copy in the repository. */
export type Candidate = Readonly<{
  bytes: AsyncIterable<Uint8Array>;
  check: (path: string) => Promise<BundleFacts>;
  /** The root hash of a published bundle; undefined if unreadable. */
  rootHashOf?: (path: string) => Promise<Sha256 | undefined>;
}>;

/** Copies the bundle into the repository, checks the copy, and signs it into `releases`; only the signing needs the lock. Idempotent. */
export async function addBundle(site: Site, candidate: Candidate, alone: Alone): Promise<ReleaseEntry> {
  await readRepository(site.files, site.dir);
  const incoming = join(site.dir, 'targets', `incoming-${randomBytes(8).toString('hex')}${TEMPORARY}`);
  try {
    const copy = await copyIn(site, candidate.bytes, incoming);
    const release: ReleaseEntry = { schema: 1, ...(await candidate.check(incoming)) };
    await alone((publisher) => publishBundle(publisher, release, { ...copy, file: incoming }, candidate));
    return release;
  } finally {
    await site.files.remove(incoming);
  }
}

type Incoming = Readonly<{ file: string; size: number; sha256: Sha256 }>;

async function publishBundle(
  publisher: Publisher,
  release: ReleaseEntry,
  incoming: Incoming,
  { rootHashOf }: Pick<Candidate, 'rootHashOf'>,
): Promise<void> {
  const repository = await readRepository(publisher.files, publisher.dir);
  await removeLeftOver(publisher, incoming.file);
  const path = releasePath(release.product, release.version);
  const known = repository.releases.document.signed.targets;
  if (known.get(path)?.hashes.sha256 === incoming.sha256) return;
  refuseRelease(release, path, known);
  await refuseTwin(publisher, release, known, rootHashOf);
  const stored = join(publisher.dir, storedPath(path, incoming.sha256));
  await makeDirDurably(publisher, dirname(stored));
  await moveFile(publisher.files, incoming.file, stored);
  await publish(publisher, repository, {
    releases: new Map([...known, [path, entryOf(incoming.size, incoming.sha256, release)]]),
  });
}

/** Removes leftovers of killed publishers; recent files may belong to others at work. Compares with the file system's own clock. */
async function removeLeftOver({ files, dir }: Publisher, ours: string): Promise<void> {
  const folder = join(dir, 'targets');
  const now = (await statOf(ours))?.mtimeMs ?? 0;
  for (const name of await files.list(folder)) {
    const path = join(folder, name);
    if (!name.endsWith(TEMPORARY) || path === ours) continue;
    const written = (await statOf(path))?.mtimeMs ?? now;
    if (now - written > LEFT_OVER_MS) await files.remove(path);
  }
}

const LEFT_OVER_MS = 24 * 3_600_000;

/** Why a channel needs a release other than the one on offer; undefined if it does not. */
export type Needs = (channel: ChannelDocument, version: Version) => string | undefined;

/** Removes a release from the repository, then its file. */
export async function removeRelease(
  publisher: Publisher,
  version: Version,
  needs: Needs,
  product?: Product,
): Promise<void> {
  const repository = await readRepository(publisher.files, publisher.dir);
  const release = findRelease(repository, version, product);
  for (const channel of channelNames(repository)) {
    const document = await channelDocument(publisher, repository, channel);
    if (document?.product !== release.product) continue;
    const whose = `${release.product} ${version}`;
    if (document.version === version)
      throw new UpdateError('release-in-use', `The channel ${document.channel} offers ${whose}.`);
    const need = needs(document, version);
    if (need !== undefined)
      refuse(publisher, 'release-named', `The rollout in the channel ${document.channel} needs ${whose} ${need}.`);
  }
  const path = releasePath(release.product, version);
  const releases = new Map(repository.releases.document.signed.targets);
  const doomed = [...releases].filter(([one, entry]) => one === path || leadsTo(one, entry, release));
  for (const [one] of doomed) releases.delete(one);
  await publish(publisher, repository, { releases });
  for (const [one, { hashes }] of doomed)
    await removeFile(publisher.files, join(publisher.dir, storedPath(one, hashes.sha256)));
}

/** Signs the timestamp again, and the snapshot if half its lifetime is over or it was signed by a clock that was ahead. */
export async function refreshRepository(publisher: Publisher): Promise<Repository> {
  const repository = await readRepository(publisher.files, publisher.dir);
  const { expires, issued = expires } = repository.snapshot.document.signed;
  const left = Date.parse(expires) - publisher.now.getTime();
  const isAhead = publisher.insists?.has('clock-behind') && Date.parse(issued) > publisher.now.getTime();
  if (left < SNAPSHOT_MARGIN_MS || isAhead) await publish(publisher, repository, {});
  else await republish(publisher, repository);
  return readRepository(publisher.files, publisher.dir);
}

/** The releases in a repository, without incomplete entries. */
export const releasesIn = (repository: Repository): ReleaseEntry[] =>
  [...repository.releases.document.signed.targets.values()].flatMap((entry) => releaseOf(entry) ?? []);

const SNAPSHOT_MARGIN_MS = 7 * 86_400_000;

/** A new folder is durable only after its parent has been synced. */
export async function makeDirDurably({ files, dir }: Site, path: string): Promise<void> {
  await files.makeDir(path);
  for (let above = dirname(path); above.length >= dir.length; above = dirname(above)) await files.syncDir(above);
}

async function copyIn(
  { files }: Site,
  bytes: AsyncIterable<Uint8Array>,
  path: string,
): Promise<{ size: number; sha256: Sha256 }> {
  const hash = createHash('sha256');
  let size = 0;
  await files.write(
    path,
    (async function* () {
      for await (const chunk of bytes) {
        hash.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    })(),
  );
  await files.syncFile(path);
  return { size, sha256: hash.digest('hex') as Sha256 };
}

function refuseRelease(release: ReleaseEntry, path: string, known: ReadonlyMap<string, TargetEntry>): void {
  if (known.has(path))
    throw new UpdateError('release-exists', `${release.product} ${release.version} is published with other bytes.`);
  if (known.size >= MAX_TARGETS)
    throw new UpdateError('repository-full', `The repository lists ${known.size} files, the most that clients accept.`);
  const same = [...known.values()]
    .map(releaseOf)
    .find(
      (one) =>
        one?.product === release.product &&
        one.architecture === release.architecture &&
        one.counter === release.counter,
    );
  if (same)
    throw new UpdateError(
      'release-exists',
      `${release.product} ${same.version} has the counter ${release.counter} already; ${release.version} needs a higher one.`,
    );
}

/** Hosts identify a slot by its root hash, and could not distinguish two releases with the same one. */
async function refuseTwin(
  publisher: Publisher,
  { rootHash, product }: ReleaseEntry,
  known: ReadonlyMap<string, TargetEntry>,
  rootHashOf: Candidate['rootHashOf'],
): Promise<void> {
  if (rootHash === undefined) return;
  for (const [path, entry] of known) {
    const other = isDeltaPath(path) ? undefined : releaseOf(entry);
    if (other?.product !== product) continue;
    const stored = join(publisher.dir, storedPath(path, entry.hashes.sha256));
    if ((other.rootHash ?? (await rootHashOf?.(stored))) === rootHash)
      refuse(publisher, 'root-hash-known', `${product} ${other.version} has the root hash ${rootHash} already.`);
  }
}

const releaseOf = (entry: TargetEntry): ReleaseEntry | undefined => {
  try {
    return releaseShape(entry.custom, 'custom');
  } catch {
    return undefined;
  }
};

/** Whether this is a delta to that release. */
function leadsTo(path: string, entry: TargetEntry, release: ReleaseEntry): boolean {
  try {
    return isDeltaPath(path) && readDelta(path, entry).manifest === release.manifest.sha256;
  } catch {
    return false;
  }
}

export function findRelease(repository: Repository, version: Version, product: Product | undefined): ReleaseEntry {
  const found = releasesIn(repository).filter(
    (one) => one.version === version && (product === undefined || one.product === product),
  );
  const [only] = found;
  if (only === undefined) throw new UpdateError('release-unknown', `The repository has no release ${version}.`);
  if (found.length > 1)
    throw new UpdateError(
      'usage',
      `${found.map((one) => one.product).join(' and ')} have a release ${version}: add --product.`,
    );
  return only;
}
