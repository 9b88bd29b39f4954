/** Checks a whole repository as a client would, from its first root on, and every byte of every listed file. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import type { Files } from '../../system/files.ts';
import { silentLog } from '../../system/log.ts';
import { createTrust } from '../client.ts';
import { isDeltaPath, type ListedDelta, readDelta } from '../deltas.ts';
import type { ChannelDocument, ReleaseEntry, TargetEntry } from '../documents.ts';
import { memoryFiles } from '../memory-files.ts';
import { dirMetadata } from '../metadata-fetch.ts';
import { metadataPath, ROLE_NAMES, type RoleName, releasePath, storedPath } from '../names.ts';
import { releasesIn } from './publisher.ts';
import { channelDocument, channelNames, type Repository, readRepository } from './repository.ts';

export type RoleLife = Readonly<{ role: RoleName; version: number; expires: Date; daysLeft: number }>;

export type RepositoryReport = Readonly<{
  roles: readonly RoleLife[];
  releases: readonly ReleaseEntry[];
  channels: readonly ChannelDocument[];
  /** The number of listed files, and their total size in bytes. */
  files: number;
  bytes: number;
}>;

/** Throws the error a client would; otherwise returns a summary with expiry times. */
export async function checkRepository(
  files: Files,
  dir: string,
  now: Date,
  signal: AbortSignal,
): Promise<RepositoryReport> {
  const repository = await readRepository(files, dir);
  await checkAsClient(files, dir, now, signal);
  const listed = [...repository.releases.document.signed.targets, ...repository.channels.document.signed.targets];
  let bytes = 0;
  for (const [path, entry] of listed) {
    await checkFile(dir, storedPath(path, entry.hashes.sha256), entry, signal);
    bytes += entry.length;
  }
  const releases = releasesIn(repository);
  checkComplete(repository, releases);
  await checkDeltas(dir, repository, releases, signal);
  const channels = await channelsOf(files, dir, repository, releases);
  return {
    roles: lifetimesOf(repository, now),
    releases,
    channels,
    files: listed.length,
    bytes,
  };
}

/** The expiry of each role. */
export const lifetimesOf = (repository: Repository, now: Date): RoleLife[] =>
  ROLE_NAMES.map((role) => {
    const { version, expires } = repository[role].document.signed;
    const at = new Date(expires);
    return { role, version, expires: at, daysLeft: Math.floor((at.getTime() - now.getTime()) / 86_400_000) };
  });

async function checkAsClient(files: Files, dir: string, now: Date, signal: AbortSignal): Promise<void> {
  const embeddedRoot = await files.read(join(dir, metadataPath('root', 1)));
  if (embeddedRoot === undefined) throw damaged(`${metadataPath('root', 1)} is missing; hosts with old images need it`);
  const trust = createTrust({
    files: memoryFiles(),
    metadataDir: '/metadata',
    floorsPath: '/floors.json',
    embeddedRoot,
    mirrors: [dirMetadata(dir)],
    log: silentLog,
  });
  await trust.refresh(now, signal);
}

type ListedFile = Readonly<{ length: number; hashes: Readonly<{ sha256: string }> }>;

async function checkFile(dir: string, path: string, entry: ListedFile, signal: AbortSignal): Promise<void> {
  await using source = await fileSource(join(dir, path));
  if (source.size !== entry.length) throw damaged(`${path} has ${source.size} bytes instead of ${entry.length}`);
  const hash = createHash('sha256');
  for await (const chunk of source.open(0, signal)) hash.update(chunk);
  if (hash.digest('hex') !== entry.hashes.sha256) throw damaged(`${path} is not the file that was signed`);
}

/** Clients ignore incomplete entries; publishers should know about them. */
function checkComplete(repository: Repository, releases: readonly ReleaseEntry[]): void {
  const complete = new Set(releases.map((one) => releasePath(one.product, one.version)));
  for (const path of repository.releases.document.signed.targets.keys())
    if (!complete.has(path) && !isDeltaPath(path))
      throw new UpdateError('target-incomplete', `The signed entry of ${path} is incomplete.`);
}

/** Each delta must lead to a listed release, and start with the signed head. */
async function checkDeltas(
  dir: string,
  repository: Repository,
  releases: readonly ReleaseEntry[],
  signal: AbortSignal,
): Promise<void> {
  const manifests = new Set(releases.map((one) => one.manifest.sha256));
  for (const [listed, entry] of repository.releases.document.signed.targets) {
    if (!isDeltaPath(listed)) continue;
    const delta = deltaIn(listed, entry);
    if (!manifests.has(delta.manifest)) throw damaged(`${listed} leads to a release that is not published`);
    await using source = await fileSource(join(dir, delta.path));
    const hash = createHash('sha256');
    for await (const chunk of source.open(0, signal, delta.head.size)) hash.update(chunk);
    if (hash.digest('hex') !== delta.head.sha256) throw damaged(`the head of ${listed} differs from the signed one`);
  }
}

function deltaIn(listed: string, entry: TargetEntry): ListedDelta {
  try {
    return readDelta(listed, entry);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UpdateError('target-incomplete', `The signed entry of ${listed}: ${why}.`);
  }
}

async function channelsOf(
  files: Files,
  dir: string,
  repository: Repository,
  releases: readonly ReleaseEntry[],
): Promise<ChannelDocument[]> {
  const documents: ChannelDocument[] = [];
  for (const channel of channelNames(repository)) {
    const document = await channelDocument({ files, dir }, repository, channel);
    if (document === undefined) continue;
    if (!releases.some((one) => one.product === document.product && one.version === document.version))
      throw damaged(`the channel ${document.channel} offers ${document.version}, which is not published`);
    documents.push(document);
  }
  return documents;
}

const damaged = (what: string): UpdateError =>
  new UpdateError('repository-damaged', `The repository is damaged: ${what}.`);
