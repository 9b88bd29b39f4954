/** How long a server waits for etcd: a leader is found again within seconds, and who asks later should hear at once that there is none. */

import { asUpdateError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Random } from '../../system/random.ts';

export type Patience = Readonly<{
  /** Does it again until etcd has answered. */
  with<T>(work: () => Promise<T>): Promise<T>;
  /** After the n-th failure: waits, or throws what has failed when that is no matter of time, or has lasted too long. */
  after(error: unknown, tries: number): Promise<void>;
  /** After losing against somebody else. */
  pause(tries: number): Promise<void>;
  /** etcd has answered. */
  renew(): void;
}>;

/** So long an outage, or a series of lost races, is put up with. */
export const PATIENCE_MS = 10_000;

/** Shared by all who wait for the same etcd: an outage is counted once, not anew by everybody. */
export function createPatience(clock: Clock, random: Random): Patience {
  let since: number | undefined;
  const pause = (tries: number): Promise<void> => clock.sleep(random.fraction() * Math.min(500, 2 ** tries - 1));
  const after = async (error: unknown, tries: number): Promise<void> => {
    if (asUpdateError(error).code !== 'etcd-unavailable') throw error;
    since ??= clock.monotonicMs();
    if (clock.monotonicMs() - since > PATIENCE_MS) throw error;
    await pause(tries);
  };
  const renew = (): void => {
    since = undefined;
  };
  return {
    pause,
    after,
    renew,
    with: async (work) => {
      for (let tries = 0; ; tries++)
        try {
          const result = await work();
          renew();
          return result;
        } catch (error) {
          await after(error, tries);
        }
    },
  };
}
