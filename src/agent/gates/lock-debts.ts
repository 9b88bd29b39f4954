/** The reboot locks that this host still has to release, at the places where it took them. */

import { isDeepStrictEqual } from 'node:util';
import { asUpdateError } from '../../errors.ts';
import type { Ended, LockDebt } from '../../reboot/gates/locks/lock-client.ts';
import type { Clock } from '../../system/clock.ts';
import type { Log } from '../../system/log.ts';
import { isSamePlace, type KeptPlace, type LockPlace, type LockPlaces } from './lock-places.ts';

export type LockDebts = Readonly<{
  all(): Promise<readonly KeptPlace[]>;
  /** Durable when it returns. */
  keep(places: readonly KeptPlace[]): Promise<void>;
  /** Marks these for release; returns whether all were marked already. */
  owe(places: readonly LockPlace[], ended?: Ended): Promise<boolean>;
  /** Releases the marked locks; throws the first failure once all were tried. */
  settle(): Promise<void>;
  /** The oldest lock to release, from memory only. */
  first(): LockDebt | undefined;
}>;

type LockDebtsWorld = Readonly<{
  places: LockPlaces;
  giveBackAt(place: LockPlace, ended: Ended | undefined): Promise<void>;
  /** Whether to give up on a lock that cannot be released; `ageMs` is how long that has been tried. */
  isOver(place: LockPlace, failure: unknown, ageMs: number): boolean;
  clock: Pick<Clock, 'now'>;
  log: Pick<Log, 'warn'>;
}>;

export function lockDebts({ places, giveBackAt, isOver, clock, log }: LockDebtsWorld): LockDebts {
  let seen: readonly KeptPlace[] = [];
  const all = async (): Promise<readonly KeptPlace[]> => {
    seen = (await places.known()) ?? [];
    return seen;
  };
  const keep = async (now: readonly KeptPlace[]): Promise<void> => {
    if (isDeepStrictEqual(now, await all())) return;
    seen = now;
    await places.keep(now);
  };
  /** Kept in memory if it cannot be written: a full disk is no reason to keep the lock. */
  const keepIfPossible = (now: readonly KeptPlace[]): Promise<void> =>
    keep(now).catch((error: unknown) =>
      log.warn({ err: asUpdateError(error).message }, 'the locks still to release cannot be recorded'),
    );
  /** Undefined if it was released, or never will be. */
  const failureAt = async ({ owed, ...place }: KeptPlace): Promise<unknown> => {
    try {
      await giveBackAt(place, owed?.ended);
      return undefined;
    } catch (error) {
      const ageMs = clock.now().getTime() - Date.parse(owed?.since ?? '');
      return isOver(place, error, ageMs) ? undefined : error;
    }
  };
  return {
    all,
    keep,
    owe: async (due, ended) => {
      const owed = { since: clock.now().toISOString(), ...(ended ? { ended } : {}) };
      const before = await all();
      const isDue = (one: LockPlace): boolean => due.some((place) => isSamePlace(place, one));
      const others = due.filter((place) => !before.some((one) => isSamePlace(place, one)));
      const isNew = others.length > 0 || before.some((one) => isDue(one) && !one.owed);
      if (isNew)
        await keepIfPossible([
          ...before.map((one) => (isDue(one) && !one.owed ? { ...one, owed } : one)),
          ...others.map((one) => ({ ...one, owed })),
        ]);
      return !isNew;
    },
    settle: async () => {
      const failures: unknown[] = [];
      for (const place of (await all()).filter(({ owed }) => owed)) {
        const failure = await failureAt(place);
        if (failure !== undefined) failures.push(failure);
        else await keepIfPossible((await all()).filter((one) => !isSamePlace(one, place)));
      }
      if (failures.length > 0) throw failures[0];
    },
    first: () => {
      const [one] = seen.filter(({ owed }) => owed);
      return one?.owed && { place: one.addresses.join(', '), group: one.group, since: one.owed.since };
    },
  };
}
