/** The TUF client's state for one poll: everything verified so far. The only importer of tuf-js. */

import { BadVersionError, EqualVersionError, ExpiredMetadataError } from 'tuf-js/dist/error.js';
import { TrustedMetadataStore } from 'tuf-js/dist/store.js';
import { UpdateError } from '../errors.ts';
import { utcText } from '../utc.ts';
import type { Holders } from './signed-file.ts';

/** A parent's description of a child: its version, and length and digest if given. */
export type Child = Readonly<{ version: number; length?: number | undefined }>;

export interface TufSession {
  readonly rootVersion: number;
  /** The keys and threshold of a top role, in the newest accepted root. */
  holders(role: string): Holders;
  root(bytes: Uint8Array): void;
  /** `same`: the version is already known; its content is not examined. */
  timestamp(bytes: Uint8Array): 'new' | 'same';
  /** The parent's description of the snapshot or of a targets role. */
  child(role: string): Child;
  /** The versions of all files in the snapshot. */
  childVersions(): ReadonlyMap<string, number>;
  /** Throws unless the bytes have the length and digest given by the parent; call before parsing. */
  checkChild(bytes: Uint8Array, role: string): void;
  /** `trusted`: from our own disk, checked against its parent when it arrived. */
  snapshot(bytes: Uint8Array, trusted: boolean): void;
  targets(bytes: Uint8Array, role: string, parent: string): void;
  /** The expiry of root, timestamp and snapshot. */
  expiries(): Readonly<Record<string, string>>;
}

/**
 * A session that trusts `root`. Uses only the rules of tuf-js, not its I/O, because it writes files without fsync and follows redirects:
 * nothing here touches disk or network. Nothing may be stored that was not accepted here first.
 */
export function startSession(root: Uint8Array, now: Date): TufSession {
  const store = startStore(root);
  // The library reads the machine's time at construction; ours is given, and fixed for the whole poll.
  Object.assign(store, { referenceTime: now });
  const named = <T>(role: string, bytes: Uint8Array, step: (buffer: Buffer) => T): T => {
    try {
      return step(Buffer.from(bytes));
    } catch (error) {
      throw classified(error, { role, bytes, store, now });
    }
  };
  return {
    get rootVersion() {
      return store.root.signed.version;
    },
    holders: (role) => {
      const found = store.root.signed.roles[role];
      return { keyids: found?.keyIDs ?? [], threshold: found?.threshold ?? 0 };
    },
    root: (bytes) => void named('root', bytes, (buffer) => store.updateRoot(buffer)),
    timestamp: (bytes) => named('timestamp', bytes, (buffer) => timestamp(store, buffer)),
    child: (role) => metaOf(store, role),
    childVersions: () =>
      new Map(Object.entries(store.snapshot?.signed.meta ?? {}).map(([name, meta]) => [name, meta.version])),
    checkChild: (bytes, role) => named(role, bytes, (buffer) => metaOf(store, role).verify(buffer)),
    snapshot: (bytes, trusted) => void named('snapshot', bytes, (buffer) => store.updateSnapshot(buffer, trusted)),
    targets: (bytes, role, parent) =>
      named(role, bytes, (buffer) => store.updateDelegatedTargets(buffer, role, parent)),
    expiries: () => ({
      root: store.root.signed.expires,
      ...(store.timestamp ? { timestamp: store.timestamp.signed.expires } : {}),
      ...(store.snapshot ? { snapshot: store.snapshot.signed.expires } : {}),
    }),
  };
}

function startStore(root: Uint8Array): TrustedMetadataStore {
  try {
    return new TrustedMetadataStore(Buffer.from(root));
  } catch (error) {
    throw new UpdateError('trust-root-invalid', `root.json: ${messageOf(error)}.`);
  }
}

function timestamp(store: TrustedMetadataStore, bytes: Buffer): 'new' | 'same' {
  try {
    store.updateTimestamp(bytes);
    return 'new';
  } catch (error) {
    if (error instanceof EqualVersionError) return 'same';
    throw error;
  }
}

function metaOf(store: TrustedMetadataStore, role: string) {
  const found =
    role === 'snapshot'
      ? store.timestamp?.signed.snapshotMeta
      : Object.entries(store.snapshot?.signed.meta ?? {}).find(([name]) => name === `${role}.json`)?.[1];
  if (found === undefined) throw new UpdateError('metadata-invalid', `The repository does not name ${role}.json.`);
  return found;
}

type Step = Readonly<{ role: string; bytes: Uint8Array; store: TrustedMetadataStore; now: Date }>;

function classified(error: unknown, step: Step): UpdateError {
  if (error instanceof UpdateError) return error;
  const why = `${step.role}.json: ${messageOf(error)}.`;
  if (error instanceof ExpiredMetadataError) return expired(error.message, step);
  if (/was signed by \d+\/\d+ keys|no delegation found/i.test(why)) return new UpdateError('metadata-signature', why);
  if (/Unsupported specVersion/.test(why)) return new UpdateError('metadata-newer', why);
  if (error instanceof BadVersionError || /Missing file .* in new snapshot/.test(why))
    return new UpdateError('metadata-rollback', why);
  return new UpdateError('metadata-invalid', why);
}

/** tuf-js says "Final root.json is expired", "snapshot.json is expired" …: not always the file that was just given. */
function expired(message: string, { role, bytes, store, now }: Step): UpdateError {
  const file = /(\S+)\.json is expired/.exec(message)?.[1] ?? role;
  const known = { root: store.root, timestamp: store.timestamp, snapshot: store.snapshot };
  const when = Object.entries(known).find(([name]) => name === file)?.[1]?.signed.expires ?? expiryIn(bytes);
  return new UpdateError('metadata-expired', `${file}.json expired on ${when}; the local clock shows ${utcText(now)}.`);
}

const expiryIn = (bytes: Uint8Array): string =>
  /"expires"\s*:\s*"([^"]{1,40})"/.exec(Buffer.from(bytes).toString())?.[1] ?? 'an unknown day';

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
