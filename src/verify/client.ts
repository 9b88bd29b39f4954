/** The trusted view of a repository: its releases and channels, verified from the root in the image. */

import { dirname, join } from 'node:path';
import { UpdateError } from '../errors.ts';
import type { Product, Release, Sha256, Version } from '../model.ts';
import { type Files, moveFile, removeTemporaries, replaceFile } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import { checkClock, clockFloor } from './clock-floor.ts';
import { deltasOf, isDeltaPath, type ListedDelta, readDelta, type TrustedDelta } from './deltas.ts';
import {
  type ChannelDocument,
  channelShape,
  LIMITS,
  readDocument,
  releaseShape,
  type TargetEntry,
  type TargetsDocument,
} from './documents.ts';
import { type Floors, floorsFile, floorsUnder, readFloors, withFloors } from './floors.ts';
import type { MetadataMirror } from './metadata-fetch.ts';
import { type AskMirrors, askMirrors } from './mirrors.ts';
import { CHANNEL_PATTERN, channelPath, releasePath, storedPath } from './names.ts';
import { type Poll, refreshRole, refreshTop } from './refresh.ts';
import { digest, signedDigest } from './signed-file.ts';
import { checkStrictly, readTargets } from './strict-check.ts';

export type TrustOptions = Readonly<{
  files: Files;
  /** The directory of accepted metadata. */
  metadataDir: string;
  /** The directory of the floors; best outside `metadataDir`, so that they outlive it. */
  floorsPath: string;
  /** root.json from the image. */
  embeddedRoot: Uint8Array;
  /** The mirrors of the repository, in order of preference. */
  mirrors: readonly MetadataMirror[];
  log: Log;
}>;

export interface Trust {
  /** One poll. `now` is the time for all expiry checks. */
  refresh(now: Date, signal: AbortSignal): Promise<TrustedRepository>;
  /** The highest release counter that ran on this host; 0 if unknown. */
  counterFloor(product: Product): Promise<number>;
  /** Records that a release with this counter runs here and is confirmed. */
  raiseCounter(product: Product, counter: number): Promise<void>;
  /** Records an operator's word that the clock is right: clears the clock floor, and returns it; undefined if there was none. */
  waiveClock(): Promise<string | undefined>;
}

export interface TrustedRepository {
  /** The document of a channel; throws `channel-unknown` if there is none. */
  channel(name: string): Promise<ChannelDocument>;
  /** A release; throws `release-unknown` if there is none, `target-incomplete` if its entry lacks a field. */
  release(product: Product, version: Version): Promise<TrustedRelease>;
  /** Every complete release. */
  releases(): readonly TrustedRelease[];
  /** The metadata that expires first, for timely warnings. */
  readonly expires: Readonly<{ role: string; at: Date }>;
}

export type TrustedRelease = Readonly<{
  release: Release & Readonly<{ counter: number; manifest: Sha256 }>;
  architecture: 'x86-64' | 'arm64';
  minAgent: string;
  manifest: Readonly<{ sha256: Sha256; size: number }>;
  /** The path of its bundle, relative to the repository. */
  bundle: Readonly<{ path: string; size: number; sha256: Sha256 }>;
  /** Smaller files that lead to the same release. */
  deltas: readonly TrustedDelta[];
}>;

/** The trust in one repository. */
export const createTrust = (options: TrustOptions): Trust => ({
  refresh: (now, signal) => refresh(options, now, signal),
  counterFloor: async (product) => (await floorsOfImage(options)).counters.get(product) ?? 0,
  raiseCounter: async (product, counter) => {
    const floors = await floorsOfImage(options);
    if ((floors.counters.get(product) ?? 0) >= counter) return;
    await saveFloors(options, { ...floors, counters: new Map([...floors.counters, [product, counter]]) });
  },
  waiveClock: async () => {
    const floors = await floorsOfImage(options);
    const waived = clockFloor(options.embeddedRoot, floors);
    if (waived !== undefined) await saveFloors(options, { ...floors, waived });
    return waived;
  },
});

/** The release with this manifest digest: whether a loose bundle belongs to the repository. */
export function acceptBundle(trusted: TrustedRepository, manifest: Sha256): TrustedRelease {
  const found = trusted.releases().find((one) => one.manifest.sha256 === manifest);
  if (found === undefined)
    throw new UpdateError(
      'release-unknown',
      `No release of the repository has the manifest ${manifest.slice(0, 12)}….`,
    );
  return found;
}

async function refresh(options: TrustOptions, now: Date, signal: AbortSignal): Promise<TrustedRepository> {
  const { files, metadataDir: dir, mirrors, log } = options;
  const embeddedRoot = checkedRoot(options.embeddedRoot);
  const known = await loadFloors(options);
  const floors = { current: floorsUnder(known, [signedDigest(embeddedRoot)]) };
  checkClock(clockFloor(embeddedRoot, floors.current), now);
  await files.makeDir(dir);
  await removeTemporaries(files, dir);
  const before = floors.current;
  const ask = askMirrors(mirrors, log, signal);
  const poll = { files, dir, check: checkStrictly, log, now, signal, known, floors };
  try {
    const proved = await ask(({ fetch }) => provedBy({ ...poll, fetch }, embeddedRoot));
    return view({ log, ask, signal }, proved);
  } finally {
    if (floors.current !== before) await saveFloors(options, floors.current);
  }
}

type Proved = Readonly<{
  expiries: Readonly<Record<string, string>>;
  releases: TargetsDocument;
  channels: TargetsDocument;
}>;

/** Takes all metadata from one mirror, because roots and a timestamp from different mirrors prove nothing together. Metadata accepted before stays accepted. */
async function provedBy(poll: Poll, root: Uint8Array): Promise<Proved> {
  const session = await refreshTop(poll, root);
  const targets = readTargets('targets', await refreshRole(poll, session, 'targets', 'root'));
  const releases = readTargets('releases', await refreshRole(poll, session, 'releases', 'targets'));
  const channels = readTargets('channels', await refreshRole(poll, session, 'channels', 'targets'));
  return { expiries: { ...session.expiries(), ...expiries({ targets, releases, channels }) }, releases, channels };
}

/** Throws unless these bytes can be a trust root. */
export function checkedRoot(bytes: Uint8Array): Uint8Array {
  try {
    checkStrictly('root', bytes);
    return bytes;
  } catch (error) {
    throw new UpdateError('trust-root-invalid', error instanceof Error ? error.message : String(error));
  }
}

/** All floors of this host, the most recent first. */
async function loadFloors(options: TrustOptions): Promise<readonly Floors[]> {
  const { files, floorsPath, log } = options;
  const bytes = await files.read(floorsPath);
  if (bytes === undefined) return [];
  try {
    const [last, ...others] = readFloors(bytes);
    return last ? [last.roots.length > 0 ? last : { ...last, roots: await keptRoots(options) }, ...others] : [];
  } catch (error) {
    log.warn({ path: floorsPath, reason: String(error) }, 'The floors file is damaged; it is set aside.');
    await moveFile(files, floorsPath, `${floorsPath}.damaged`);
    return [];
  }
}

/** The roots of trust for floors that do not name them: the roots stored then, or only the image's. */
async function keptRoots({ files, metadataDir, embeddedRoot }: TrustOptions): Promise<readonly Sha256[]> {
  const names = (await files.list(metadataDir)).filter((name) => /^\d+\.root\.json$/.test(name));
  const roots = await Promise.all(names.map(async (name) => rootIn(await files.read(join(metadataDir, name)))));
  const whole = roots.filter((one) => one !== undefined);
  return whole.length > 0 ? whole : [signedDigest(embeddedRoot)];
}

function rootIn(bytes: Uint8Array | undefined): Sha256 | undefined {
  try {
    return bytes && signedDigest(checkedRoot(bytes));
  } catch {
    return undefined;
  }
}

const floorsOfImage = async (options: TrustOptions): Promise<Floors> =>
  floorsUnder(await loadFloors(options), [signedDigest(checkedRoot(options.embeddedRoot))]);

async function saveFloors(options: TrustOptions, floors: Floors): Promise<void> {
  const { files, floorsPath } = options;
  await files.makeDir(dirname(floorsPath));
  await replaceFile(files, floorsPath, floorsFile(withFloors(await loadFloors(options), floors)));
}

const expiries = (roles: Readonly<Record<string, TargetsDocument>>): Record<string, string> =>
  Object.fromEntries(Object.entries(roles).map(([role, document]) => [role, document.signed.expires]));

type Source = Readonly<{ log: Log; ask: AskMirrors; signal: AbortSignal }>;

function view(source: Source, { expiries: expiry, releases, channels }: Proved): TrustedRepository {
  const entries = [...releases.signed.targets];
  const deltas = entries.flatMap(([path, entry]) => (isDeltaPath(path) ? listedDelta(source.log, path, entry) : []));
  const first = Object.entries(expiry).sort(([, one], [, other]) => Date.parse(one) - Date.parse(other))[0];
  return {
    channel: (name) => channel(source, channels, name),
    release: async (product, version) => {
      const path = releasePath(product, version);
      const entry = releases.signed.targets.get(path);
      if (entry === undefined) throw new UpdateError('release-unknown', `The repository has no ${product} ${version}.`);
      return trustedRelease(path, entry, deltas);
    },
    releases: () =>
      entries.flatMap(([path, entry]) => (isDeltaPath(path) ? [] : complete(source.log, path, entry, deltas))),
    expires: { role: first?.[0] ?? 'root', at: new Date(first?.[1] ?? 0) },
  };
}

async function channel(source: Source, channels: TargetsDocument, name: string): Promise<ChannelDocument> {
  const path = channelPath(name);
  const entry = CHANNEL_PATTERN.test(name) ? channels.signed.targets.get(path) : undefined;
  if (entry === undefined) throw new UpdateError('channel-unknown', `The repository has no channel "${name}".`);
  if (entry.length > LIMITS.channel) throw new UpdateError('target-incomplete', `${path} has ${entry.length} bytes.`);
  const bytes = await source.ask((mirror) => fetchTarget(mirror, path, entry, source.signal));
  const document = readDocument(bytes, LIMITS.channel, 'target-incomplete', path, channelShape);
  if (document.channel !== name)
    throw new UpdateError('target-incomplete', `${path} is the document of the channel "${document.channel}".`);
  return document;
}

async function fetchTarget(
  mirror: MetadataMirror,
  path: string,
  entry: TargetEntry,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const stored = storedPath(path, entry.hashes.sha256);
  const bytes = await mirror.fetch(stored, entry.length, signal);
  if (bytes === undefined) throw new UpdateError('not-found-on-server', `The repository has no ${stored}.`);
  if (bytes.length !== entry.length || digest(bytes) !== entry.hashes.sha256)
    throw new UpdateError('server-file-changed', `${stored} is not the file that the metadata names.`);
  return bytes;
}

/** An invalid delta does not affect its release: hosts use the next larger way. */
function listedDelta(log: Log, path: string, entry: TargetEntry): ListedDelta[] {
  try {
    return [readDelta(path, entry)];
  } catch (error) {
    log.warn({ path, reason: String(error) }, 'A delta is ignored.');
    return [];
  }
}

function complete(log: Log, path: string, entry: TargetEntry, deltas: readonly ListedDelta[]): TrustedRelease[] {
  try {
    return [trustedRelease(path, entry, deltas)];
  } catch (error) {
    log.warn({ path, reason: String(error) }, 'A release is ignored.');
    return [];
  }
}

function trustedRelease(path: string, entry: TargetEntry, deltas: readonly ListedDelta[]): TrustedRelease {
  const facts = factsOf(path, entry);
  const { product, version, counter, architecture, minAgent, manifest } = facts;
  if (releasePath(product, version) !== path)
    throw new UpdateError('target-incomplete', `The entry ${path} describes ${product} ${version}.`);
  return {
    release: { product, version, counter, manifest: manifest.sha256 },
    architecture,
    minAgent,
    manifest,
    bundle: { path: storedPath(path, entry.hashes.sha256), size: entry.length, sha256: entry.hashes.sha256 },
    deltas: deltasOf(deltas, manifest.sha256),
  };
}

function factsOf(path: string, entry: TargetEntry) {
  try {
    return releaseShape(entry.custom, 'custom');
  } catch (error) {
    throw new UpdateError('target-incomplete', `The entry ${path}: ${error instanceof Error ? error.message : error}.`);
  }
}
