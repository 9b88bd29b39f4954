/** Retries failing health probes for a while before the verdict: a late answer is not a failure. */

import type { Clock } from '../../system/clock.ts';
import type { Health } from './run-probes.ts';

export type Patience = Readonly<{
  clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  /** How long failing probes are retried. */
  retryMs: number;
  /** The dead man's timer restarts the machine after this, so the verdict must come earlier. */
  mostMs?: number | undefined;
  signal: AbortSignal;
}>;

/**
 * Repeats until every required probe passes in one round, or the time is up; the last round is the verdict. `look` gets whether it is the
 * first, and its time limit.
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
/** At least this much time, or no probe could pass. */
const SHORTEST_MS = 15_000;
