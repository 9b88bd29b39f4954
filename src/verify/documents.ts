/** Metadata and channel documents: types, and strict parsing beyond the checks of the TUF library. */

import { type ErrorCode, UpdateError } from '../errors.ts';
import { type Check, type Checked, integer, list, literal, object, optional, record, text } from '../formats/shape.ts';
import { PRODUCT_PATTERN, type Product, SHA256_PATTERN, type Sha256, VERSION_PATTERN, type Version } from '../model.ts';
import { keyIdOf } from './keys.ts';
import { CHANNEL_PATTERN, type RoleName } from './names.ts';

/** A hundred releases with a bundle, a blocks file and ten patches each; the entries fit the size limit. */
export const MAX_TARGETS = 1200;
/** The largest accepted size of each kind of file, in bytes. */
export const LIMITS: Readonly<Record<RoleName | 'channel', number>> = {
  root: 512_000,
  timestamp: 16_384,
  snapshot: 64_000,
  targets: 512_000,
  releases: 1_000_000,
  channels: 512_000,
  channel: 65_536,
};

const EXPIRES = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;
const HEX = /^(?:[0-9a-f]{2}){32}$/;
const SIGNATURE = /^(?:[0-9a-f]{128})?$/;

const sha256 = text<Sha256>(SHA256_PATTERN, 'a SHA-256 in hex');
const moment: Check<string> = (value, path) => {
  const given = text(EXPIRES, 'a time like 2030-01-31T00:00:00Z')(value, path);
  // The JavaScript engine reads 30 February as 2 March.
  if (new Date(given).toISOString().slice(0, 19) !== given.slice(0, 19))
    throw new TypeError(`${path} is not a calendar date`);
  return given;
};
const common = {
  spec_version: text(/^1(?:\.\d{1,4}){1,2}$/, 'a version 1.x of the TUF specification'),
  version: integer(1),
  expires: moment,
  /** The time of signing by the publisher's clock; absent from older publishers. */
  issued: optional(moment),
};
export const publicKeyShape = object({
  keytype: literal('ed25519'),
  scheme: literal('ed25519'),
  keyval: object({ public: text(HEX, '64 hex digits') }),
});
const keyTable = record(SHA256_PATTERN, publicKeyShape, 64);
// One key under two ids would count twice toward a threshold.
const keys: Check<Checked<typeof keyTable>> = (value, path) => {
  const table = keyTable(value, path);
  for (const [id, key] of table) if (keyIdOf(key) !== id) throw new TypeError(`${path}["${id}"] is not that key's id`);
  return table;
};
const keyId = text(SHA256_PATTERN, 'a key id');
const holders = { keyids: list(keyId, 16), threshold: integer(1, 16) };
const meta = object({ version: integer(1), length: integer(1, 5_000_000), hashes: object({ sha256 }) }, 'ignore');
const signedBy = <T>(signed: Check<T>) =>
  object({ signed, signatures: list(object({ keyid: keyId, sig: text(SIGNATURE) }, 'ignore'), 32) });

const target = object(
  {
    length: integer(0),
    hashes: object({ sha256 }),
    custom: optional((value: unknown): unknown => value),
  },
  'ignore',
);

export const rootShape = signedBy(
  object(
    {
      _type: literal('root'),
      ...common,
      consistent_snapshot: literal(true),
      keys,
      roles: object({
        root: object(holders, 'ignore'),
        targets: object(holders, 'ignore'),
        snapshot: object(holders, 'ignore'),
        timestamp: object(holders, 'ignore'),
      }),
    },
    'ignore',
  ),
);

export const timestampShape = signedBy(
  object({ _type: literal('timestamp'), ...common, meta: object({ 'snapshot.json': meta }) }, 'ignore'),
);

export const snapshotShape = signedBy(
  object({ _type: literal('snapshot'), ...common, meta: record(/^[a-z0-9-]{1,32}\.json$/, meta, 16) }, 'ignore'),
);

const delegation = object(
  {
    name: literal('releases', 'channels'),
    ...holders,
    terminating: literal(true),
    paths: list(literal('releases/*/*', 'channels/*'), 1),
  },
  'ignore',
);

/** `paths`: the targets that the role itself may list; none for the top role. */
export const targetsShape = (paths: RegExp) =>
  signedBy(
    object(
      {
        _type: literal('targets'),
        ...common,
        targets: record(paths, target, MAX_TARGETS),
        delegations: optional(object({ keys, roles: list(delegation, 2) }, 'ignore')),
      },
      'ignore',
    ),
  );

export type RootDocument = ReturnType<typeof rootShape>;
export type TimestampDocument = ReturnType<typeof timestampShape>;
export type SnapshotDocument = ReturnType<typeof snapshotShape>;
export type TargetsDocument = ReturnType<ReturnType<typeof targetsShape>>;
export type MetaEntry = ReturnType<typeof meta>;
export type TargetEntry = ReturnType<typeof target>;

/** The custom fields in a bundle's signed entry. */
export const releaseShape = object(
  {
    schema: literal(1),
    product: text<Product>(PRODUCT_PATTERN, 'a product name'),
    version: text<Version>(VERSION_PATTERN, 'a version'),
    counter: integer(1),
    architecture: literal('x86-64', 'arm64'),
    minAgent: text(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/, 'a version like 1.2.3'),
    manifest: object({ sha256, size: integer(1, 1024 * 1024) }, 'ignore'),
    /** Of its root image; absent from older publishers. */
    rootHash: optional(sha256),
  },
  'ignore',
);
export type ReleaseEntry = ReturnType<typeof releaseShape>;

/** The custom fields in a delta's signed entry; `head` covers its first bytes, which verify the rest. */
export const deltaShape = object(
  {
    schema: literal(1),
    kind: literal('blocks', 'patch'),
    product: text<Product>(PRODUCT_PATTERN, 'a product name'),
    version: text<Version>(VERSION_PATTERN, 'a version'),
    manifest: sha256,
    head: object({ size: integer(1, 16 * 1024 * 1024), sha256 }, 'ignore'),
    from: optional(
      object(
        { version: text<Version>(VERSION_PATTERN, 'a version'), rootHash: sha256, uki: optional(sha256) },
        'ignore',
      ),
    ),
  },
  'ignore',
);
export type DeltaEntry = ReturnType<typeof deltaShape>;

/** The operator's channel document: the release on offer. */
export const channelShape = object(
  {
    schema: literal(1),
    channel: text(CHANNEL_PATTERN, 'a channel name'),
    product: text<Product>(PRODUCT_PATTERN, 'a product name'),
    version: text<Version>(VERSION_PATTERN, 'a version'),
    counter: integer(1),
    published: moment,
    /** The rollout; without one, the release is offered to all hosts at once. Parsed elsewhere. */
    rollout: optional((value: unknown): unknown => value),
  },
  'ignore',
);
export type ChannelDocument = ReturnType<typeof channelShape>;

/** Parses an untrusted document: bounded, UTF-8, no duplicate keys, and every field checked. */
export function readDocument<T>(bytes: Uint8Array, limit: number, code: ErrorCode, name: string, check: Check<T>): T {
  if (bytes.length > limit)
    throw new UpdateError(code, `${name} has ${bytes.length} bytes; at most ${limit} are read.`);
  try {
    const json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: unknown = JSON.parse(json);
    const twice = duplicateKey(json);
    if (twice !== undefined) throw new TypeError(`it has the key ${JSON.stringify(twice)} twice`);
    return check(value, name);
  } catch (error) {
    if (error instanceof UpdateError) throw error;
    throw new UpdateError(code, `${name}: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

/** The first duplicate key in an object of a valid JSON text: parsers disagree on which value counts. */
export function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (const [token, name] of json.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[{}]/gs)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (name !== undefined) {
      const decoded = String(JSON.parse(name));
      if (open.at(-1)?.has(decoded)) return decoded;
      open.at(-1)?.add(decoded);
    }
  }
  return undefined;
}
