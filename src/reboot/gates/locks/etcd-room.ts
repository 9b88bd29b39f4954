/** Where the lock of one group lies in etcd, and how it is seen: one consistent, linearizable read. */

import type { Etcd } from '../../../system/etcd/etcd.ts';
import type { Answer, Op, Pair } from '../../../system/etcd/messages.ts';
import { FOREIGN_KEYS, refuseForeign } from './foreign.ts';
import { present, type Semaphore, type Sight } from './semaphore.ts';
import { MOST_HOLDERS, readSemaphore } from './semaphore-document.ts';

/** `asking`: one key for each host that wants the lock, in the order of their creation; `holding`: one for each that waits with
 * it. Both die with their host, by their lease. `deadline`: one for each that reboots, gone when it should be back. */
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

/** All there is to know at one moment. */
export type Room = Readonly<{
  /** Undefined when nobody has ever asked. */
  document: Semaphore | undefined;
  /** Of the document; "0" when there is none. */
  revision: string;
  /** The leases that waiting holders are bound to, by id. */
  leases: ReadonlyMap<string, string>;
  /** This host's place among those who ask. */
  asking: Pair | undefined;
  /** The first ones in the queue, and how long it is. */
  queue: readonly string[];
  queued: number;
  sight: Sight;
}>;

/** The queue is read this far: who is behind has time. */
export const FRONT = 50;

/** Reads the room for the host `id`; refuses to share a group with another program. */
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

/** How many more could have the lock. */
export const freeIn = ({ document, sight }: Room): number =>
  document ? Math.max(0, document.max - present(document, sight).length) : 1;

const lastPart = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
