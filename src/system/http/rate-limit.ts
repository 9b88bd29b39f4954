/** A bandwidth limit for all connections of a download together. */

import type { Clock } from '../clock.ts';

export interface RateLimit {
  /** Counts received bytes, and waits until more are allowed. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** A limit in bytes per second; 0 for none. Only the last moment's unused share can be made up. */
export function createRateLimit(options: Readonly<{ bytesPerSecond: number; clock: Clock }>): RateLimit {
  const { bytesPerSecond, clock } = options;
  if (bytesPerSecond === 0) return { take: async () => {} };
  let freeAt = clock.monotonicMs();
  return {
    take: async (bytes, signal) => {
      const now = clock.monotonicMs();
      freeAt = Math.max(freeAt, now - SAVED_MS) + (bytes * 1000) / bytesPerSecond;
      // A debt too short for timers is carried over.
      if (freeAt - now >= 1) await clock.sleep(freeAt - now, signal);
    },
  };
}

const SAVED_MS = 250;
