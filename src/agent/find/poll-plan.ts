/** When to check the repository again. Pure. */

export type PollLimits = Readonly<{ jitterMs: number; backoffMs: number; backoffLimitMs: number }>;

/** Spreads the hosts that share a schedule: a delay from zero to the jitter. `fraction` is random, from 0 to 1. */
export const jitter = (limits: PollLimits, fraction: number): number => Math.round(limits.jitterMs * fraction);

/**
 * The delay after the `failures`-th failure in a row: doubled each time, capped, and only then multiplied by a random fraction (full
 * jitter), so that hosts that failed together do not come back together. A server's Retry-After is the minimum.
 */
export function retryDelay(limits: PollLimits, failures: number, fraction: number, retryAfterMs = 0): number {
  const ceiling = Math.min(limits.backoffLimitMs, limits.backoffMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(retryAfterMs + ceiling * fraction);
}
