/** A repository on the publisher's disk: read completely, and every signature verified before re-signing. */

import { basename, join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Check } from '../../formats/shape.ts';
import type { Files } from '../../system/files.ts';
import {
  type ChannelDocument,
  channelShape,
  LIMITS,
  type RootDocument,
  readDocument,
  rootShape,
  type SnapshotDocument,
  snapshotShape,
  type TargetsDocument,
  type TimestampDocument,
  targetsShape,
  timestampShape,
} from '../documents.ts';
import type { PublicKey } from '../keys.ts';
import {
  channelPath,
  DELEGATED_ROLES,
  type DelegatedRole,
  metadataPath,
  PATH_PATTERNS,
  type RoleName,
  storedPath,
} from '../names.ts';
import { digest, type Holders, signedBy } from '../signed-file.ts';

export type RoleFile<T> = Readonly<{ document: T; bytes: Uint8Array }>;

export type Repository = Readonly<{
  root: RoleFile<RootDocument>;
  timestamp: RoleFile<TimestampDocument>;
  snapshot: RoleFile<SnapshotDocument>;
  targets: RoleFile<TargetsDocument>;
  releases: RoleFile<TargetsDocument>;
  channels: RoleFile<TargetsDocument>;
  /** The names in `metadata` when it was read. */
  names: ReadonlySet<string>;
  /** A signed file of a role that is newer than the one in use: an interrupted publisher, or one without the common lock. */
  unused: ReadonlyMap<VersionedRole, Unused>;
}>;

export type Unused = Readonly<{ version: number; bytes: Uint8Array }>;

/** The roles with version numbers in their file names, except root. */
export const VERSIONED_ROLES = ['targets', 'releases', 'channels', 'snapshot'] as const;
export type VersionedRole = (typeof VERSIONED_ROLES)[number];

/** The top role lists no files. */
export const NO_PATHS = /^(?!)/;

export async function readRepository(files: Files, dir: string): Promise<Repository> {
  const names = new Set(await files.list(join(dir, 'metadata')));
  const version = rootVersion(names, dir);
  const root = await readRole(files, dir, 'root', version, rootShape);
  checkSigned(root, 'root', [{ holders: root.document.signed.roles.root, keys: root.document.signed.keys }]);
  const before = version === 1 ? root : await readRole(files, dir, 'root', version - 1, rootShape).catch(() => root);
  const timestamp = await readRole(files, dir, 'timestamp', 0, timestampShape);
  const snapshotMeta = timestamp.document.signed.meta['snapshot.json'];
  const snapshot = await readRole(
    files,
    dir,
    'snapshot',
    snapshotMeta.version,
    snapshotShape,
    snapshotMeta.hashes.sha256,
  );
  const read = (role: 'targets' | DelegatedRole) => {
    const meta = snapshot.document.signed.meta.get(`${role}.json`);
    if (meta === undefined) throw damaged(`snapshot ${snapshotMeta.version} does not name ${role}.json`);
    return readRole(files, dir, role, meta.version, targetsShape(pathsOf(role)), meta.hashes.sha256);
  };
  const targets = await read('targets');
  const [releases, channels] = [await read('releases'), await read('channels')];
  const repository = { root, timestamp, snapshot, targets, releases, channels };
  // An interrupted key replacement leaves a role signed by the previous root's keys; it can be resumed.
  const older = { root: before, targets };
  for (const role of ['targets', 'snapshot', 'timestamp', ...DELEGATED_ROLES] as const)
    checkSigned(
      repository[role],
      role,
      [repository, older].map((one) => ({ holders: holdersOf(one, role), keys: keysFor(one, role) })),
    );
  return { ...repository, names, unused: await unusedIn(files, dir, repository, names) };
}

/** The next version of a role: above the current one, and above any that hosts may have seen. */
export const nextVersion = (repository: Repository, role: VersionedRole): number =>
  1 + (repository.unused.get(role) ?? repository[role].document.signed).version;

/** Counts only files signed by the role's own keys: someone who can write the folder must not drive versions up. */
async function unusedIn(
  files: Files,
  dir: string,
  repository: Omit<Repository, 'names' | 'unused'>,
  names: ReadonlySet<string>,
): Promise<Repository['unused']> {
  const found = new Map<VersionedRole, Unused>();
  for (const role of VERSIONED_ROLES) {
    const authority = { holders: holdersOf(repository, role), keys: keysFor(repository, role) };
    const shape: Check<{ signed: { version: number } }> =
      role === 'snapshot' ? snapshotShape : targetsShape(pathsOf(role));
    const newer = versionsOf(names, role).filter((one) => one > repository[role].document.signed.version);
    for (const version of newer.toSorted((one, other) => other - one)) {
      const file = await readRole(files, dir, role, version, shape).catch(() => undefined);
      if (!file || file.document.signed.version !== version || !isSigned(file, authority)) continue;
      found.set(role, { version, bytes: file.bytes });
      break;
    }
  }
  return found;
}

const pathsOf = (role: 'targets' | DelegatedRole): RegExp => (role === 'targets' ? NO_PATHS : PATH_PATTERNS[role]);

const versionsOf = (names: Iterable<string>, role: RoleName): number[] =>
  [...names].flatMap((name) => {
    const [, digits, of] = /^(\d{1,9})\.([a-z]+)\.json$/.exec(name) ?? [];
    return of === role ? [Number(digits)] : [];
  });

/** The channels of a repository. */
export const channelNames = ({ channels }: Pick<Repository, 'channels'>): string[] =>
  [...channels.document.signed.targets.keys()].map((path) => basename(path, '.json')).sort();

/** The document of a channel on the publisher's disk. */
export async function channelDocument(
  { files, dir }: Readonly<{ files: Files; dir: string }>,
  repository: Repository,
  channel: string,
): Promise<ChannelDocument | undefined> {
  const path = channelPath(channel);
  const entry = repository.channels.document.signed.targets.get(path);
  if (entry === undefined) return undefined;
  const bytes = await files.read(join(dir, storedPath(path, entry.hashes.sha256)));
  if (bytes === undefined || digest(bytes) !== entry.hashes.sha256)
    throw new UpdateError('repository-damaged', `The document of the channel ${channel} is missing or changed.`);
  return readDocument(bytes, entry.length, 'repository-damaged', path, channelShape);
}

/** The keys and threshold of a role. */
export function holdersOf(repository: Pick<Repository, 'root' | 'targets'>, role: RoleName): Holders {
  if (role !== 'releases' && role !== 'channels') return repository.root.document.signed.roles[role];
  const found = repository.targets.document.signed.delegations?.roles.find((one) => one.name === role);
  if (found === undefined) throw damaged(`targets.json does not delegate to ${role}`);
  return found;
}

/** The public keys among which a role's holders are found. */
export function keysFor(
  repository: Pick<Repository, 'root' | 'targets'>,
  role: RoleName,
): ReadonlyMap<string, PublicKey> {
  if (role !== 'releases' && role !== 'channels') return repository.root.document.signed.keys;
  return repository.targets.document.signed.delegations?.keys ?? new Map();
}

function rootVersion(names: ReadonlySet<string>, dir: string): number {
  const newest = Math.max(0, ...versionsOf(names, 'root'));
  if (newest === 0)
    throw new UpdateError('repository-missing', `${dir} holds no repository: no root.json in its metadata.`);
  return newest;
}

async function readRole<T>(
  files: Files,
  dir: string,
  role: RoleName,
  version: number,
  shape: Check<T>,
  sha256?: string,
): Promise<RoleFile<T>> {
  const path = metadataPath(role, version);
  const bytes = await files.read(join(dir, path));
  if (bytes === undefined) throw damaged(`${path} is missing`);
  if (sha256 !== undefined && digest(bytes) !== sha256) throw damaged(`${path} is not the file that its parent names`);
  return { document: readDocument(bytes, LIMITS[role], 'repository-damaged', path, shape), bytes };
}

type Authority = Readonly<{ holders: Holders; keys: ReadonlyMap<string, PublicKey> }>;

/** Whether the file has the required signatures. */
export function isSigned(file: RoleFile<unknown>, { holders, keys }: Authority): boolean {
  const valid = [...signedBy(file.bytes, keys)].filter((id) => holders.keyids.includes(id));
  return valid.length >= holders.threshold;
}

function checkSigned(file: RoleFile<unknown>, role: RoleName, authorities: readonly Authority[]): void {
  if (!authorities.some((authority) => isSigned(file, authority)))
    throw damaged(`${role}.json is not signed by the ${authorities[0]?.holders.threshold} keys that it needs`);
}

const damaged = (what: string): UpdateError =>
  new UpdateError('repository-damaged', `The repository is damaged: ${what}.`);
