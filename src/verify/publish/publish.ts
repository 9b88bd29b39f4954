/** Publishes new versions of roles in the one order that never shows clients half a change: timestamp.json last. */

import { basename, join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import { type Files, replaceFile } from '../../system/files.ts';
import { LIMITS, type TargetEntry, type TargetsDocument } from '../documents.ts';
import type { Signer } from '../keys.ts';
import { type DelegatedRole, metadataPath, type RoleName } from '../names.ts';
import { digest, type Holders, signedBy, signersForAll, signFile } from '../signed-file.ts';
import { holdersOf, nextVersion, type Repository, type Unused, type VersionedRole } from './repository.ts';
import { refuseExpired, type Signing, type Times, timesOf } from './signing-time.ts';

/** The repository's folder. */
export type Site = Readonly<{ files: Files; dir: string }>;

/** Runs a task under the publisher's lock. */
export type Alone = <T>(task: (publisher: Publisher) => Promise<T>) => Promise<T>;

/** The repository and signers of a publisher. Time and signers are injected. */
export type Publisher = Site & Signing & Readonly<{ signers: readonly Signer[] }>;

/** New content of roles. Only changed ones are listed; snapshot and timestamp follow automatically. */
export type Changes = Readonly<{
  targets?: Delegations;
  releases?: ReadonlyMap<string, TargetEntry>;
  channels?: ReadonlyMap<string, TargetEntry>;
  /** During a key replacement: every set of holders that the role's new file must satisfy. */
  holders?: Partial<Record<RoleName, readonly Holders[]>>;
  /** Files already signed, to be put into use. */
  adopted?: ReadonlyMap<VersionedRole, Unused>;
  /** The increase of the timestamp's version; 1 by default. */
  lift?: number;
  /** Roles are signed again because they expire, or with new keys; that others have expired is known, and they follow. */
  isCeremony?: boolean;
  /** The role that may be signed again although none of our keys signed its current file, because its key is lost. */
  unsignedByUs?: RoleName;
}>;

export type Delegations = NonNullable<TargetsDocument['signed']['delegations']>;

/** Signs and writes the changes; a crash after any step leaves either the old or the new repository. */
export async function publish(publisher: Publisher, repository: Repository, changes: Changes): Promise<void> {
  if (!changes.isCeremony) refuseExpired(publisher, offlineRoles(repository, changes));
  const written = new Map<string, Uint8Array>();
  const meta = new Map<string, object>(repository.snapshot.document.signed.meta);
  for (const [role, { version, bytes }] of changes.adopted ?? []) meta.set(`${role}.json`, metaOf(version, bytes));
  for (const role of ['targets', 'releases', 'channels'] as const) {
    if (changes[role] === undefined) continue;
    const version = nextVersion(repository, role);
    const part = {
      ...partOf(role, repository, changes),
      ...common(publisher, role, version, repository[role].document.signed),
    };
    const bytes = await signed(publisher, repository, changes, role, part);
    refuseTooLarge(role, bytes);
    written.set(metadataPath(role, version), bytes);
    meta.set(`${role}.json`, metaOf(version, bytes));
  }
  await publishSnapshot(publisher, repository, changes, meta, written);
}

/** Clients would refuse a larger file, and find no releases at all. */
function refuseTooLarge(role: 'targets' | DelegatedRole, { length }: Uint8Array): void {
  if (length > LIMITS[role])
    throw new UpdateError(
      'repository-full',
      `${role}.json would have ${length} bytes; clients read ${LIMITS[role]} at most.`,
    );
}

/** Signs only timestamp.json again. */
export async function republish(publisher: Publisher, repository: Repository, changes: Changes = {}): Promise<void> {
  if (!changes.isCeremony) refuseExpired(publisher, offlineRoles(repository, changes));
  await publishTimestamp(
    publisher,
    repository,
    changes,
    repository.timestamp.document.signed.meta['snapshot.json'],
    new Map(),
  );
}

/** The common fields of every role's document; `replaced` is the current one. */
export const common = (signing: Signing, role: RoleName, version: number, replaced?: Times) => ({
  _type: role === 'releases' || role === 'channels' ? 'targets' : role,
  spec_version: '1.0.31',
  version,
  ...timesOf(signing, role, replaced),
});

/** A parent's entry for a metadata file. */
export const metaOf = (version: number, bytes: Uint8Array) => ({
  version,
  length: bytes.length,
  hashes: { sha256: digest(bytes) },
});

/** The document of a targets role. */
export const listing = (targets: ReadonlyMap<string, TargetEntry>) => ({ targets: Object.fromEntries(targets) });

/** The document of the top role, which lists no files itself. */
export const delegating = (delegations: Delegations) => ({
  targets: {},
  delegations: { keys: Object.fromEntries(delegations.keys), roles: delegations.roles },
});

/** A file's entry in a targets role. */
export const entryOf = (length: number, sha256: Sha256, custom?: object): TargetEntry => ({
  length,
  hashes: { sha256 },
  ...(custom === undefined ? {} : { custom }),
});

/** Roles that are not changed, and must not be re-signed in passing. */
const offlineRoles = (repository: Repository, changes: Changes): (readonly [RoleName, Times])[] =>
  (['root', 'targets', 'releases', 'channels'] as const)
    .filter((role) => role === 'root' || (changes[role] === undefined && !changes.adopted?.has(role)))
    .map((role) => [role, repository[role].document.signed]);

function partOf(role: 'targets' | DelegatedRole, repository: Repository, changes: Changes): object {
  if (role !== 'targets') return listing(changes[role] ?? repository[role].document.signed.targets);
  const delegations = changes.targets ?? repository.targets.document.signed.delegations;
  return delegations === undefined ? { targets: {} } : delegating(delegations);
}

async function publishSnapshot(
  publisher: Publisher,
  repository: Repository,
  changes: Changes,
  meta: ReadonlyMap<string, object>,
  written: Map<string, Uint8Array>,
): Promise<void> {
  const version = nextVersion(repository, 'snapshot');
  const part = {
    ...common(publisher, 'snapshot', version, repository.snapshot.document.signed),
    meta: Object.fromEntries(meta),
  };
  const bytes = await signed(publisher, repository, changes, 'snapshot', part);
  written.set(metadataPath('snapshot', version), bytes);
  await publishTimestamp(publisher, repository, changes, metaOf(version, bytes), written);
}

async function publishTimestamp(
  publisher: Publisher,
  repository: Repository,
  changes: Changes,
  snapshot: object,
  written: Map<string, Uint8Array>,
): Promise<void> {
  const before = repository.timestamp.document.signed;
  const version = before.version + (changes.lift ?? 1);
  const part = { ...common(publisher, 'timestamp', version, before), meta: { 'snapshot.json': snapshot } };
  // Signs everything before the first write, so that a missing key or a wrong passphrase changes nothing.
  const timestamp = await signed(publisher, repository, changes, 'timestamp', part);
  await mustBeAsRead(publisher, repository);
  for (const [path, bytes] of written) await replaceFile(publisher.files, join(publisher.dir, path), bytes);
  await mustBeAsRead(publisher, repository, written).catch(async (error: unknown) => {
    // Removes unused files, so that they are not mistaken for intended ones.
    for (const path of written.keys()) await publisher.files.remove(join(publisher.dir, path));
    throw error;
  });
  await replaceFile(publisher.files, join(publisher.dir, metadataPath('timestamp', version)), timestamp);
}

/** Refuses to overwrite another publisher's work: the lock excludes others on this host, this check those who do not see the lock. */
async function mustBeAsRead(
  { files, dir }: Publisher,
  { timestamp, names }: Repository,
  written: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<void> {
  const now = await files.read(join(dir, metadataPath('timestamp', 0)));
  const isSame = now !== undefined && Buffer.compare(now, timestamp.bytes) === 0;
  const ours = new Set([...written.keys()].map((path) => basename(path)));
  const news = (await files.list(join(dir, 'metadata'))).filter((name) => !names.has(name) && !ours.has(name));
  const others = news.filter((name) => /^\d+\.(?!root\.)[a-z]+\.json$/.test(name));
  if (isSame && others.length === 0) return;
  throw new UpdateError(
    'repository-changed',
    `${dir}: ${others[0] ?? 'timestamp.json'} was written by another publisher; nothing new was published.`,
  );
}

async function signed(
  publisher: Publisher,
  repository: Repository,
  changes: Changes,
  role: Exclude<RoleName, 'root'>,
  part: object,
): Promise<Uint8Array> {
  const holders = changes.holders?.[role] ?? [holdersOf(repository, role)];
  const signers = signersForAll(role, holders, publisher.signers);
  if (changes.unsignedByUs !== role) checkOwn(repository, role, publisher.signers);
  return signFile(part, signers);
}

/** Only files signed by one of our keys are signed again: someone who can write the folder, root.json included, must not get an entry of their own signed. */
function checkOwn(repository: Repository, role: Exclude<RoleName, 'root'>, signers: readonly Signer[]): void {
  const ours = new Map(signers.map((signer) => [signer.keyId, signer.publicKey]));
  if (signedBy(repository[role].bytes, ours).size > 0) return;
  throw new UpdateError(
    'repository-damaged',
    `The current ${role}.json was signed by none of the given keys; it is not signed again on trust. Give the key that signed it.`,
  );
}
