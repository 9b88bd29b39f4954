/** The keys of one group's lock in etcd, and a consistent, linearizable read of them. */

import type { Etcd } from '../../../system/etcd/etcd.ts';
import type { Answer, Op, Pair } from '../../../system/etcd/messages.ts';
import { FOREIGN_KEYS, refuseForeign } from './foreign.ts';
import { present, type Semaphore, type Sight } from './semaphore.ts';
import { MOST_HOLDERS, readSemaphore } from './semaphore-document.ts';

/**
 * `asking`: one key per queued host, in order of creation; `holding`: one per waiting holder. Both are bound to their host's lease.
 * `deadline`: one per rebooting host, which expires when it is overdue.
 */
export type Keys = Readonly<{
  semaphore: string;
  asking(id?: string): string;
  holding(id?: string): string;
  deadline(id?: string): string;
}>;

export function keysOf(group: string): Keys {
  const prefix = `tandem/lock/v1/${group}`;
  const under =
    (kind: string) =>
    (id = ''): string =>
      `${prefix}/${kind}/${id}`;
  return {
    semaphore: `${prefix}/semaphore`,
    asking: under('asking'),
    holding: under('holding'),
    deadline: under('deadline'),
  };
}

/** A consistent snapshot. */
export type Room = Readonly<{
  /** Undefined if the lock was never used. */
  document: Semaphore | undefined;
  /** The document's revision; "0" if there is none. */
  revision: string;
  /** The leases of waiting holders, by id. */
  leases: ReadonlyMap<string, string>;
  /** This host's key in the queue. */
  asking: Pair | undefined;
  /** The first hosts in the queue, and its length. */
  queue: readonly string[];
  queued: number;
  sight: Sight;
}>;

/** The queue is read this far; hosts further behind have time. */
export const FRONT = 50;

/** Reads the snapshot for the host `id`; throws if another program uses the group. */
export async function readRoom(etcd: Etcd, group: string, id: string): Promise<Room> {
  const keys = keysOf(group);
  const foreign = FOREIGN_KEYS(group);
  const few = { prefix: { limit: MOST_HOLDERS }, keysOnly: true } as const;
  const reads: Op[] = [
    { range: keys.semaphore },
    { range: keys.holding(), ...few },
    { range: keys.deadline(), ...few },
    { range: keys.asking(), prefix: { limit: FRONT }, keysOnly: true },
    { range: keys.asking(id) },
    ...foreign.map((key) => ({ range: key })),
  ];
  return roomOf(await etcd.txn({ ops: reads }), keys, group, id);
}

function roomOf({ ranges }: Answer, keys: Keys, group: string, id: string): Room {
  const [semaphore, holding, deadlines, asking, mine, ...foreign] = ranges;
  refuseForeign(
    group,
    foreign.flatMap(({ pairs }) => pairs),
  );
  const [written] = semaphore?.pairs ?? [];
  const leases = new Map(holding?.pairs.map((one) => [lastPart(one.key), one.lease]));
  const back = new Set(deadlines?.pairs.map((one) => lastPart(one.key)));
  const queue = asking?.pairs.map((one) => lastPart(one.key)) ?? [];
  const place = queue.indexOf(id);
  return {
    document: written && readSemaphore(written.value, `the key ${keys.semaphore} in etcd`),
    revision: written?.modRevision ?? '0',
    leases,
    asking: mine?.pairs[0],
    queue,
    queued: asking?.count ?? 0,
    sight: {
      gone: (holder) => !leases.has(holder.id),
      late: (holder) => !back.has(holder.id),
      ahead: place === -1 ? (asking?.count ?? 0) : place,
    },
  };
}

/** The number of free places. */
export const freeIn = ({ document, sight }: Room): number =>
  document ? Math.max(0, document.max - present(document, sight).length) : 1;

const lastPart = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
