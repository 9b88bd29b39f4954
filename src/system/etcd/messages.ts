/** Messages of etcd's v3 JSON gateway: base64 keys and values, 64-bit numbers as text, zeros omitted. */

import { UpdateError } from '../../errors.ts';
import { type Check, list, literal, object, optional, text } from '../../formats/shape.ts';

/** A comparison of a transaction. */
export type Compare =
  | Readonly<{ key: string; is: 'absent' | 'present' }>
  | Readonly<{ key: string; modRevision: string }>
  | Readonly<{ key: string; lease: string }>;

export type Op =
  | Readonly<{ put: string; value: Uint8Array; lease?: string }>
  | Readonly<{ delete: string }>
  /** At most `limit` keys with a prefix, oldest first. */
  | Readonly<{ range: string; prefix?: Readonly<{ limit: number }>; keysOnly?: boolean }>
  /** At most `limit` keys from `range` up to `before` (exclusive), by name, or only their number. */
  | Readonly<{ range: string; before: string; limit: number | 'none' }>;

/** If all comparisons hold, executes `ops` atomically; otherwise the reads in `otherwise`. */
export type Transaction = Readonly<{ compare?: readonly Compare[]; ops: readonly Op[]; otherwise?: readonly Op[] }>;

export type Pair = Readonly<{ key: string; value: Uint8Array; modRevision: string; lease: string }>;

/** `count`: their total number, of which `pairs` may be only the first. */
export type Range = Readonly<{ pairs: readonly Pair[]; count: number }>;

/** One range per `range` operation; `revision`: of everything written, "0" if not reported. */
export type Answer = Readonly<{ succeeded: boolean; ranges: readonly Range[]; revision: string }>;

export const requestOf = (txn: Transaction): object => ({
  compare: (txn.compare ?? []).map(compareOf),
  success: txn.ops.map(opOf),
  failure: (txn.otherwise ?? []).map(opOf),
});

export function txnAnswerOf(message: unknown): Answer {
  const { succeeded = false, responses = [], header } = checked(TXN, message, 'the answer to a transaction');
  return {
    succeeded,
    revision: header?.revision ?? '0',
    ranges: responses.flatMap(({ response_range: range }) =>
      range ? [{ pairs: (range.kvs ?? []).map(pairOf), count: Number(range.count ?? range.kvs?.length ?? 0) }] : [],
    ),
  };
}

export const leaseIdOf = (message: unknown): string => checked(LEASE, message, 'a lease').ID;

/** The database size of a member and its limit, if known; `revision`: its latest. */
export type EtcdSize = Readonly<{ revision: string; bytes: number; quotaBytes?: number; isFull: boolean }>;

/** From a member's status and Prometheus metrics. */
export function sizeOf(status: unknown, figures: string): EtcdSize {
  const { header, dbSize, dbSizeQuota, errors = [] } = checked(STATUS, status, 'the status of a member');
  const [, quota] = /^etcd_server_quota_backend_bytes (\d[\d.e+]*)$/m.exec(figures) ?? [];
  const quotaBytes = Number(dbSizeQuota ?? quota);
  return {
    revision: header.revision ?? '0',
    bytes: Number(dbSize ?? 0),
    ...(quotaBytes > 0 ? { quotaBytes } : {}),
    isFull: errors.some((one) => one.includes('NOSPACE')),
  };
}

/** Zero if the lease is gone. */
export const timeToLiveOf = (message: unknown): number =>
  Number(checked(KEPT, message, 'the answer of a lease').result.TTL ?? 0);

/** The first key after all those with `prefix`, which ends in a slash. */
export const keyAfter = (prefix: string): string => `${prefix.slice(0, -1)}0`;

/** Watches keys with a prefix after a revision. */
export const watchRequestOf = (prefix: string, revision: string): object => ({
  create_request: {
    key: encoded(prefix),
    range_end: encoded(keyAfter(prefix)),
    start_revision: String(BigInt(revision) + 1n),
  },
});

/** A watch message: a write; compacted history; the end, with its reason; or nothing. */
export function changeIn(line: Uint8Array): 'changed' | 'compacted' | Readonly<{ ended: string }> | undefined {
  const { result, error } = checked(HEARD, messageOf(line), 'the message of a watch');
  if (error) return { ended: error.message ?? 'for no reason' };
  if (result?.canceled !== true) return (result?.events?.length ?? 0) > 0 ? 'changed' : undefined;
  return (result.compact_revision ?? '0') === '0' ? { ended: result.cancel_reason ?? 'for no reason' } : 'compacted';
}

/** The unchecked JSON of an answer; a stream with one message is that message. */
export function messageOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    throw new UpdateError('etcd-protocol', 'etcd answered something that is not JSON.', { cause: error });
  }
}

function checked<T>(check: Check<T>, message: unknown, name: string): T {
  try {
    return check(message, name);
  } catch (error) {
    const why = error instanceof Error ? error.message : name;
    throw new UpdateError('etcd-protocol', `etcd sent an impossible answer: ${why}.`, { cause: error });
  }
}

const number64 = text(/^\d{1,20}$/, 'a number as text');
const base64 = text(/^[A-Za-z0-9+/=]*$/, 'base64');
const KV = object(
  { key: base64, value: optional(base64), mod_revision: number64, lease: optional(number64) },
  'ignore',
);
const TXN = object(
  {
    header: optional(object({ revision: optional(number64) }, 'ignore')),
    succeeded: optional(literal(true, false)),
    responses: optional(
      list(
        object(
          {
            response_range: optional(object({ kvs: optional(list(KV, 10_000)), count: optional(number64) }, 'ignore')),
          },
          'ignore',
        ),
        128,
      ),
    ),
  },
  'ignore',
);
const LEASE = object({ ID: number64, TTL: number64 }, 'ignore');
const STATUS = object(
  {
    header: object({ revision: optional(number64) }, 'ignore'),
    dbSize: optional(number64),
    dbSizeQuota: optional(number64),
    errors: optional(list(text(/^/), 100)),
  },
  'ignore',
);
const anything = (value: unknown): unknown => value;
const HEARD = object(
  {
    result: optional(
      object(
        {
          canceled: optional(literal(true, false)),
          compact_revision: optional(number64),
          cancel_reason: optional(text(/^/)),
          events: optional(list(anything, 100_000)),
        },
        'ignore',
      ),
    ),
    error: optional(object({ message: optional(text(/^/)) }, 'ignore')),
  },
  'ignore',
);
const KEPT = object({ result: object({ TTL: optional(number64) }, 'ignore') }, 'ignore');

const pairOf = (kv: ReturnType<typeof KV>): Pair => ({
  key: Buffer.from(kv.key, 'base64').toString('utf8'),
  value: Buffer.from(kv.value ?? '', 'base64'),
  modRevision: kv.mod_revision,
  lease: kv.lease ?? '0',
});

function compareOf(one: Compare): object {
  const key = encoded(one.key);
  if ('modRevision' in one) return { key, target: 'MOD', mod_revision: one.modRevision };
  if ('lease' in one) return { key, target: 'LEASE', lease: one.lease };
  return { key, target: 'VERSION', version: '0', result: one.is === 'absent' ? 'EQUAL' : 'GREATER' };
}

function opOf(op: Op): object {
  if ('put' in op) return { request_put: { key: encoded(op.put), value: encoded(op.value), lease: op.lease ?? '0' } };
  if ('delete' in op) return { request_delete_range: { key: encoded(op.delete) } };
  if ('before' in op) {
    const amount = op.limit === 'none' ? { count_only: true } : { limit: String(op.limit) };
    return { request_range: { key: encoded(op.range), range_end: encoded(op.before), ...amount } };
  }
  const order = { sort_order: 'ASCEND', sort_target: 'CREATE' };
  return {
    request_range: {
      key: encoded(op.range),
      ...(op.prefix ? { range_end: encoded(keyAfter(op.range)), limit: String(op.prefix.limit), ...order } : {}),
      keys_only: op.keysOnly ?? false,
    },
  };
}

export const encoded = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString('base64');
