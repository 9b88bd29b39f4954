/** Machines without a check-in for a long time: excluded from counts and pages, and eventually forgotten. */

import type { Store } from '../store/store.ts';
import { noted } from './audit.ts';
import { machineKey } from './machine-deeds.ts';
import { type MachineRecord, machineIn } from './machines.ts';

export type Expiry = Readonly<{
  isOver(machine: Pick<MachineRecord, 'lastSeen'>): boolean;
  /** Forgets expired machines, once the server has been listening for a while. */
  forget(ids: readonly string[]): Promise<void>;
}>;

export const NO_EXPIRY: Expiry = { isOver: () => false, forget: async () => {} };

/** `monotonicMs` never jumps. */
export type ExpiryWorld = Readonly<{ afterMs: number; now(): Date; monotonicMs(): number }>;

/** After a long downtime or a jump of its clock, a server would see every machine as expired. So it waits first, while existing machines check in. */
export function createExpiry(store: Store, { afterMs, now, monotonicMs }: ExpiryWorld): Expiry {
  const moment = () => ({ wall: now().getTime(), ms: monotonicMs() });
  let since = moment();
  const listenedMs = (): number => {
    const at = moment();
    if (Math.abs(at.wall - since.wall - (at.ms - since.ms)) > JUMP_MS) since = at;
    return at.ms - since.ms;
  };
  const isOver: Expiry['isOver'] = ({ lastSeen }) => now().getTime() - Date.parse(lastSeen) > afterMs;
  return {
    isOver,
    forget: async (ids) => {
      if (listenedMs() < Math.min(LISTEN_MS, afterMs)) return;
      let forgotten = 0;
      for (let from = 0; from < ids.length; from += AT_ONCE)
        forgotten += await remove(store, ids.slice(from, from + AT_ONCE), isOver);
      if (forgotten === 0) return;
      const about = forgotten === 1 ? '1 machine' : `${forgotten} machines`;
      const by = { who: 'the server', from: 'this server', about };
      const reason = `no check-in for ${Math.round(afterMs / DAY_MS)} days`;
      await noted(store, { at: now().toISOString(), what: 'machine-forgotten', ...by, reason });
    },
  };
}

const DAY_MS = 24 * 3_600_000;
/** Many times the half hour between polls. */
const LISTEN_MS = 6 * 3_600_000;
/** The tolerance for clocks that are set correctly. */
const JUMP_MS = 3_600_000;
/** etcd accepts 128 operations per transaction. */
const AT_ONCE = 50;

/** A machine that has checked in since stays. */
const remove = (store: Store, ids: readonly string[], isOver: Expiry['isOver']): Promise<number> =>
  store.update(ids.map(machineKey), (documents) => {
    const write = documents.map((document) => {
      const machine = machineIn(document);
      return machine && isOver(machine) ? null : undefined;
    });
    return { write, result: write.filter((one) => one === null).length };
  });
