/** The gate of the running system's health: an unhealthy host is not restarted. */

import { cleanLine } from '../../clean-text.ts';
import type { Verdict } from '../../model.ts';
import { closed, type GateVerdict, OPEN } from './gate.ts';

export interface HealthGate {
  verdict(now: Date): Promise<GateVerdict>;
}

/** Cached for a minute, because probes may be expensive. */
export function createHealthGate(probe: () => Promise<Verdict>): HealthGate {
  let last: Readonly<{ at: Date; verdict: GateVerdict }> | undefined;
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
export function healthVerdict(judgement: Verdict, now: Date): GateVerdict {
  if (judgement.ok) return OPEN;
  const reason = `the running system is unhealthy: ${cleanLine(judgement.reason, 300)}`;
  const next = new Date(now.getTime() + HOLDS_MS);
  return closed('host-unhealthy', 'soft', reason, { next, command: 'updatectl apply' });
}

const HOLDS_MS = 60_000;
