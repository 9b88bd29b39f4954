/** The gate of the running system's health: a host that is ill is not restarted on top of it. */

import { cleanLine } from '../../clean-text.ts';
import { closed, OPEN, type Verdict } from './gate.ts';

/** What the probes say that judge a new system, too. */
export type Judgement = Readonly<{ healthy: true } | { healthy: false; reason: string }>;

export interface HealthGate {
  verdict(now: Date): Promise<Verdict>;
}

/** Probes may be dear, so an answer holds for a minute. */
export function createHealthGate(probe: () => Promise<Judgement>): HealthGate {
  let last: Readonly<{ at: Date; verdict: Verdict }> | undefined;
  return {
    verdict: async (now) => {
      if (last && now.getTime() - last.at.getTime() < HOLDS_MS && now >= last.at) return last.verdict;
      const judgement = await probe();
      last = { at: now, verdict: healthVerdict(judgement, now) };
      return last.verdict;
    },
  };
}

/** Pure. */
export function healthVerdict(judgement: Judgement, now: Date): Verdict {
  if (judgement.healthy) return OPEN;
  const reason = `the running system is ill: ${cleanLine(judgement.reason, 300)}`;
  const next = new Date(now.getTime() + HOLDS_MS);
  return closed('host-unhealthy', 'soft', reason, { next, command: 'updatectl apply' });
}

const HOLDS_MS = 60_000;
