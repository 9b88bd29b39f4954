/** Holds downloads to a number of bytes a second, all connections together. */

import type { Clock } from '../clock.ts';

export interface RateLimit {
  /** Counts bytes that have come and waits until the next ones may. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** A limit of so many bytes a second; 0 is none. What was not used in the last moment may be made up for, no more. */
export function createRateLimit(options: Readonly<{ bytesPerSecond: number; clock: Clock }>): RateLimit {
  const { bytesPerSecond, clock } = options;
  if (bytesPerSecond === 0) return { take: async () => {} };
  let freeAt = clock.monotonicMs();
  return {
    take: async (bytes, signal) => {
      const now = clock.monotonicMs();
      freeAt = Math.max(freeAt, now - SAVED_MS) + (bytes * 1000) / bytesPerSecond;
      // Below what timers can tell apart the debt is carried on instead.
      if (freeAt - now >= 1) await clock.sleep(freeAt - now, signal);
    },
  };
}

const SAVED_MS = 250;
