/** Health is asked again for a while before it is denied: what answers late is not broken. */

import type { Clock } from '../../system/clock.ts';
import type { Health } from './run-probes.ts';

export type Patience = Readonly<{
  clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  /** How long what failed is asked again. */
  retryMs: number;
  /** Somebody restarts the machine after this, so that a verdict must have come before. */
  mostMs?: number | undefined;
  signal: AbortSignal;
}>;

/**
 * Asks until everything required passes in one look, or the time is up; the last look is the verdict. `look` is told whether it is the
 * first, and how long it may take.
 */
export async function askAgain(
  look: (isFirst: boolean, mostMs: number) => Promise<Health>,
  { clock, retryMs, mostMs = Number.POSITIVE_INFINITY, signal }: Patience,
): Promise<Health> {
  const end = clock.monotonicMs() + mostMs;
  const left = (): number => Math.max(SHORTEST_MS, end - clock.monotonicMs());
  const first = await look(true, left());
  const until = Math.min(clock.monotonicMs() + retryMs, end);
  let health = first;
  while (!health.ok && clock.monotonicMs() + PAUSE_MS <= until) {
    await clock.sleep(PAUSE_MS, signal);
    health = await look(false, left());
  }
  return { ...health, warnings: first.warnings };
}

const PAUSE_MS = 5_000;
/** Without any time to answer nobody could pass. */
const SHORTEST_MS = 15_000;
