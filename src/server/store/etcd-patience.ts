/** How long a server waits for etcd: a new leader is elected within seconds; later requests should fail immediately. */

import { asUpdateError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Random } from '../../system/random.ts';

export type Patience = Readonly<{
  /** Retries until etcd answers. */
  with<T>(work: () => Promise<T>): Promise<T>;
  /** After the n-th failure: waits, or throws it if waiting cannot help or has lasted too long. */
  after(error: unknown, tries: number): Promise<void>;
  /** After losing a race. */
  pause(tries: number): Promise<void>;
  /** etcd has answered. */
  renew(): void;
}>;

/** The tolerated length of an outage, or of a series of lost races. */
export const PATIENCE_MS = 10_000;

/** Shared by all users of the same etcd, so that an outage is timed only once. */
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
