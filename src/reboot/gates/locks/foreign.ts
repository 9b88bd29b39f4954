/** Locks of airlock and locksmith in the same etcd: two programs that count separately would let too many hosts reboot. */

import { UpdateError } from '../../../errors.ts';
import { type Check, integer, list, object, parseDocument, text } from '../../../formats/shape.ts';
import type { Pair } from '../../../system/etcd/messages.ts';

/** The keys of foreign locks for a group. locksmith's appears here only after a migration from API v2, with or without a slash. */
export const FOREIGN_KEYS = (group: string): readonly string[] => [
  `com.coreos.airlock/groups/${group}/v1/semaphore`,
  ...['', '/'].flatMap((slash) => LOCKSMITH_KEYS(group).map((key) => `${slash}${key}`)),
];

/** The key of a running locksmith, in the API v2 store. */
export const LOCKSMITH_KEYS = (group: string): readonly string[] => [
  'coreos.com/updateengine/rebootlock/semaphore',
  `coreos.com/updateengine/rebootlock/groups/${group}/semaphore`,
];

/** Throws if a foreign lock exists, even unheld: it may be granted at any time. */
export function refuseForeign(group: string, found: readonly Found[]): void {
  const [one] = found;
  if (!one) return;
  const owner = one.key.startsWith('com.coreos.airlock/') ? 'airlock' : 'locksmith';
  throw new UpdateError(
    'lock-foreign',
    `${owner} keeps a lock for the group ${group} in this etcd too (${contentOf(one, owner)}): key ${one.key}.`,
    { details: { key: one.key } },
  );
}

type Found = Pick<Pair, 'key' | 'value'>;

function contentOf({ value }: Found, owner: 'airlock' | 'locksmith'): string {
  try {
    const { size, holders } = READERS[owner](value);
    return `${size} ${size === 1 ? 'slot' : 'slots'}, ${holders.length > 0 ? `held by ${holders.slice(0, 5).join(', ')}` : 'held by nobody'}`;
  } catch {
    return 'its document cannot be read';
  }
}

type Content = Readonly<{ size: number; holders: readonly string[] }>;

const holder = text(/^[\x21-\x7e]{1,255}$/, 'the id of a host');
const AIRLOCK = object({ total_slots: integer(0), holders: list(holder, 10_000) }, 'ignore');
const LOCKSMITH = object({ max: integer(0), semaphore: integer(-10_000), holders: list(holder, 10_000) }, 'ignore');

const parsed = <T>(bytes: Uint8Array, check: Check<T>): T =>
  parseDocument(bytes, 1024 * 1024, 'lock-foreign', 'a foreign lock', check);

const READERS: Readonly<Record<'airlock' | 'locksmith', (bytes: Uint8Array) => Content>> = {
  airlock: (bytes) => {
    const { total_slots: size, holders } = parsed(bytes, AIRLOCK);
    return { size, holders };
  },
  locksmith: (bytes) => {
    const { max: size, holders } = parsed(bytes, LOCKSMITH);
    return { size, holders };
  },
};
