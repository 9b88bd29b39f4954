/** One poll of a repository: from the root in the image to verified metadata, in the numbered steps of the TUF specification. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import type { Sha256 } from '../model.ts';
import { type Files, moveFile, removeFile, replaceFile } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import { checkClock, clockFloor, issuedBy } from './clock-floor.ts';
import { LIMITS } from './documents.ts';
import { checkVersion, type Floors, floorAt, floorsUnder, floorUnder, isRaisedUnder } from './floors.ts';
import type { MetadataFetch } from './metadata-fetch.ts';
import { ROLE_NAMES } from './names.ts';
import { signedDigest } from './signed-file.ts';
import { type Child, startSession, type TufSession } from './tuf-session.ts';

/** Inspects an outside file before the library does; throws if it breaks one of our rules. */
export type FileCheck = (role: string, bytes: Uint8Array) => void;

export type Poll = Readonly<{
  files: Files;
  /** The directory of accepted metadata: `N.root.json`, and the newest of every other role. */
  dir: string;
  fetch: MetadataFetch;
  check: FileCheck;
  log: Log;
  now: Date;
  signal: AbortSignal;
  /** All floors of this host. */
  known: readonly Floors[];
  /** The floors of this chain of roots, raised as files are accepted. The caller saves them, even after a failure. */
  floors: { current: Floors };
}>;

const MAX_ROOTS = 256;

/** Steps 5.1 to 5.5: root, timestamp, snapshot. */
export async function refreshTop(poll: Poll, embeddedRoot: Uint8Array): Promise<TufSession> {
  const session = startSession(embeddedRoot, poll.now);
  const chain = [signedDigest(embeddedRoot)];
  await replayRoots(poll, session, chain);
  await fetchRoots(poll, session, chain);
  await bindFloors(poll, session, chain);
  checkClock(clockFloor(embeddedRoot, poll.floors.current), poll.now);
  await refreshTimestamp(poll, session);
  await refreshSnapshot(poll, session);
  return session;
}

/** Step 5.6: a targets role under its parent; returns its verified bytes. */
export async function refreshRole(poll: Poll, session: TufSession, role: string, parent: string): Promise<Uint8Array> {
  const child = session.child(role);
  const path = join(poll.dir, `${role}.json`);
  const local = await poll.files.read(path);
  if (local !== undefined && accepted(() => session.targets(local, role, parent))) return local;
  const limit = role in LIMITS ? LIMITS[role as keyof typeof LIMITS] : LIMITS.targets;
  const bytes = await fetchChild(poll, role, child, limit);
  session.checkChild(bytes, role);
  poll.check(role, bytes);
  session.targets(bytes, role, parent);
  await replaceFile(poll.files, path, bytes);
  return bytes;
}

/** Trust starts from the image every time; cached roots only save fetching them again. */
async function replayRoots(poll: Poll, session: TufSession, chain: Sha256[]): Promise<void> {
  for (;;) {
    const path = join(poll.dir, `${session.rootVersion + 1}.root.json`);
    const bytes = await poll.files.read(path);
    if (bytes === undefined) return;
    if (!accepted(() => session.root(bytes))) return putAside(poll, path, bytes);
    chain.push(signedDigest(bytes));
  }
}

/** A root accepted here earlier, but not under this image's root, belongs to a previous image's repository. */
async function putAside(poll: Poll, path: string, bytes: Uint8Array): Promise<void> {
  const seen = poll.known.flatMap(({ roots }) => roots);
  if (accepted(() => poll.check('root', bytes)) && seen.includes(signedDigest(bytes)))
    return removeFile(poll.files, path);
  poll.log.warn({ path }, 'A cached root is damaged; it is set aside and fetched again.');
  return moveFile(poll.files, path, `${path}.damaged`);
}

async function fetchRoots(poll: Poll, session: TufSession, chain: Sha256[]): Promise<void> {
  for (let fetched = 0; ; fetched++) {
    const version = session.rootVersion + 1;
    const bytes = await nextRoot(poll, version);
    if (bytes === undefined) break;
    if (fetched === MAX_ROOTS)
      throw new UpdateError('metadata-behind', `${MAX_ROOTS} roots were caught up, to version ${session.rootVersion}.`);
    poll.check('root', bytes);
    session.root(bytes);
    chain.push(signedDigest(bytes));
    await replaceFile(poll.files, join(poll.dir, `${version}.root.json`), bytes);
  }
}

/** From here on, the floors raised under one of these roots apply. Cached files of a repository with another root say nothing. */
async function bindFloors(poll: Poll, session: TufSession, chain: readonly Sha256[]): Promise<void> {
  // Includes floors raised by another mirror.
  poll.floors.current = floorsUnder([poll.floors.current, ...poll.known], chain);
  const [last] = poll.known;
  if (last && !isRaisedUnder(last, chain)) {
    poll.log.info({ version: session.rootVersion }, 'The image has brought another root of trust.');
    for (const role of ROLE_NAMES) if (role !== 'root') await poll.files.remove(join(poll.dir, `${role}.json`));
    await poll.files.syncDir(poll.dir);
  }
  checkVersion('root.json', session.rootVersion, Math.max(1, poll.floors.current.root));
  raise(poll, { root: session.rootVersion });
}

/** 403 counts as “not found”, because storage services send it for missing files; a persistent one deserves a look. */
async function nextRoot(poll: Poll, version: number): Promise<Uint8Array | undefined> {
  try {
    return await poll.fetch(`metadata/${version}.root.json`, LIMITS.root, poll.signal);
  } catch (error) {
    if (!(error instanceof UpdateError) || error.details['status'] !== 403) throw error;
    poll.log.warn({ version }, 'The server denies access to the next root; going on with the newest known one.');
    return undefined;
  }
}

async function refreshTimestamp(poll: Poll, session: TufSession): Promise<void> {
  const path = join(poll.dir, 'timestamp.json');
  const local = await poll.files.read(path);
  if (local !== undefined) accepted(() => session.timestamp(local));
  const bytes = await poll.fetch('metadata/timestamp.json', LIMITS.timestamp, poll.signal);
  if (bytes === undefined)
    throw new UpdateError('not-found-on-server', 'The repository has no metadata/timestamp.json.');
  poll.check('timestamp', bytes);
  const outcome = session.timestamp(bytes);
  const version = versionIn(bytes);
  // Fetched even if our copy has that version: the copy itself may have been replaced.
  checkVersion('timestamp.json', version, floorUnder(poll.floors.current.timestamp, session.holders('timestamp')));
  checkSnapshotVersion(poll, session);
  if (outcome === 'same') return;
  raiseClock(poll, bytes);
  await replaceFile(poll.files, path, bytes);
  raise(poll, { timestamp: floorAt(version, session.holders('timestamp')) });
}

function raiseClock({ floors, now }: Poll, timestamp: Uint8Array): void {
  const issued = issuedBy(timestamp, now);
  if (issued !== undefined && issued > (floors.current.issued ?? '')) floors.current = { ...floors.current, issued };
}

const checkSnapshotVersion = (poll: Poll, session: TufSession): void =>
  checkVersion(
    'snapshot.json',
    session.child('snapshot').version,
    floorUnder(poll.floors.current.snapshot, session.holders('snapshot')),
  );

async function refreshSnapshot(poll: Poll, session: TufSession): Promise<void> {
  const path = join(poll.dir, 'snapshot.json');
  const local = await poll.files.read(path);
  const child = session.child('snapshot');
  if (local === undefined || !accepted(() => session.snapshot(local, true))) {
    const bytes = await fetchChild(poll, 'snapshot', child, LIMITS.snapshot);
    session.checkChild(bytes, 'snapshot');
    poll.check('snapshot', bytes);
    session.snapshot(bytes, false);
    checkMeta(poll, session);
    await replaceFile(poll.files, path, bytes);
  } else checkMeta(poll, session);
  const kept = floorUnder(poll.floors.current.snapshot, session.holders('snapshot')) === undefined;
  const names = session.childVersions();
  raise(poll, {
    snapshot: floorAt(child.version, session.holders('snapshot')),
    meta: new Map([...(kept ? [] : poll.floors.current.meta), ...names]),
  });
}

/** A snapshot must neither drop a role nor lower its version, even if our copy of the last one is lost. */
function checkMeta(poll: Poll, session: TufSession): void {
  if (floorUnder(poll.floors.current.snapshot, session.holders('snapshot')) === undefined) return;
  const offered = session.childVersions();
  for (const [name, floor] of poll.floors.current.meta) {
    const version = offered.get(name);
    if (version === undefined) throw new UpdateError('metadata-rollback', `snapshot.json no longer names ${name}.`);
    checkVersion(name, version, floor);
  }
}

async function fetchChild(poll: Poll, role: string, child: Child, limit: number): Promise<Uint8Array> {
  const name = `metadata/${child.version}.${encodeURIComponent(role)}.json`;
  const bytes = await poll.fetch(name, Math.min(limit, child.length ?? limit), poll.signal);
  if (bytes === undefined) throw new UpdateError('not-found-on-server', `The repository has no ${name}.`);
  return bytes;
}

/** Our own files may be damaged or outdated; whatever they cannot prove is fetched. */
function accepted(step: () => unknown): boolean {
  try {
    step();
    return true;
  } catch (error) {
    if (error instanceof UpdateError) return false;
    throw error;
  }
}

const versionIn = (bytes: Uint8Array): number =>
  (JSON.parse(Buffer.from(bytes).toString('utf8')) as { signed: { version: number } }).signed.version;

function raise(poll: Poll, floors: Partial<Floors>): void {
  poll.floors.current = { ...poll.floors.current, ...floors };
}
