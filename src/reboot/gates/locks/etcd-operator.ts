/** The operator's view of a lock in etcd, and the changes it allows. */

import { UpdateError } from '../../../errors.ts';
import { object, parseDocument, text } from '../../../formats/shape.ts';
import type { Etcd } from '../../../system/etcd/etcd.ts';
import type { Op, Pair } from '../../../system/etcd/messages.ts';
import { FRONT, freeIn, keysOf, type Room, readRoom } from './etcd-room.ts';
import {
  emptySemaphore,
  type LockFailure,
  type LockHolder,
  present,
  release,
  type Semaphore,
  setMax,
} from './semaphore.ts';
import { writeSemaphore } from './semaphore-document.ts';

/** `late`: past its deadline. */
export type ShownHolder = LockHolder & Readonly<{ late: boolean }>;

export type Queued = Readonly<{ id: string; name: string; since: string }>;

export type LockView = Readonly<{
  schema: 1;
  group: string;
  max: number;
  maxFailures: number;
  free: number;
  holders: readonly ShownHolder[];
  failures: readonly LockFailure[];
  /** The first hosts of the queue, in order. */
  queue: readonly Queued[];
  queued: number;
}>;

/** The complete state of a group's lock; undefined if it was never used. */
export async function lockView(etcd: Etcd, group: string): Promise<LockView | undefined> {
  const room = await readRoom(etcd, group, NOBODY);
  const { document, sight, queued } = room;
  if (!document) return undefined;
  const asking = await etcd.txn({ ops: [{ range: keysOf(group).asking(), prefix: { limit: FRONT } }] });
  return {
    schema: 1,
    group,
    max: document.max,
    maxFailures: document.maxFailures,
    free: freeIn(room),
    holders: present(document, sight).map((one) => ({ ...one, late: one.phase === 'rebooting' && sight.late(one) })),
    failures: document.failures,
    queue: (asking.ranges[0]?.pairs ?? []).map(queuedOf),
    queued,
  };
}

/** Frees the lock of a host that will not come back, or clears its failure; `who` is its id or name. */
export async function releaseHolder(etcd: Etcd, group: string, who: string): Promise<void> {
  const keys = keysOf(group);
  await revise(etcd, group, ({ document }) => {
    const next = document && release(document, who);
    if (!document || !next)
      throw new UpdateError(
        'lock-not-held',
        `“${who}” neither holds the lock of the group ${group} nor has failed in it.`,
      );
    const ids = document.holders.filter((one) => !next.holders.includes(one)).map(({ id }) => id);
    return { next, ops: ids.flatMap((id) => [{ delete: keys.holding(id) }, { delete: keys.deadline(id) }]) };
  });
}

/** Sets how many hosts may reboot at the same time, and how many failures are tolerated. */
export const setLockMax = (etcd: Etcd, group: string, max: number, maxFailures?: number): Promise<void> =>
  revise(etcd, group, ({ document }) => ({
    next: setMax(document ?? emptySemaphore(max, 0), max, maxFailures),
    ops: [],
  }));

/** An id that no host can have. */
const NOBODY = '0';

/** Bounded, because an operator waits for it; every try reads the current state. */
async function revise(
  etcd: Etcd,
  group: string,
  change: (room: Room) => Readonly<{ next: Semaphore; ops: readonly Op[] }>,
): Promise<void> {
  const key = keysOf(group).semaphore;
  for (let tries = 0; tries < TRIES; tries++) {
    const room = await readRoom(etcd, group, NOBODY);
    const { next, ops } = change(room);
    const { succeeded } = await etcd.txn({
      compare: [{ key, modRevision: room.revision }],
      ops: [{ put: key, value: writeSemaphore(next) }, ...ops],
    });
    if (succeeded) return;
  }
  throw new UpdateError('lock-contended');
}

const TRIES = 50;

const ASKING = object({ name: text(/^[\x21-\x7e]{1,255}$/), since: text(/^[\x21-\x7e]{1,40}$/) }, 'ignore');

function queuedOf({ key, value }: Pair): Queued {
  const id = key.slice(key.lastIndexOf('/') + 1);
  try {
    return { id, ...parseDocument(value, 4096, 'lock-document-invalid', key, ASKING) };
  } catch {
    return { id, name: id, since: 'unknown' };
  }
}
