/** What a check-in means for the machine and for the rollout it takes part in. Pure: documents in, documents and an answer out. */

import { cleanLine } from '../clean-text.ts';
import type { CheckIn, CheckInAnswer } from '../protocol.ts';
import { type AdmissionCode, admit, type Ledger, report } from '../rollout/brake.ts';
import type { ServerLimits } from '../rollout/document.ts';
import { type HoldCode, judgeHost, type Rollout } from '../rollout/rollout.ts';
import type { MachineRecord } from './machines.ts';

/** What the channel of a host rolls out; undefined when it offers its release to everybody. */
export type Offered = Readonly<{ policy: Rollout; limits: ServerLimits }>;

/** Changes the ledger that it is given. `before` is what the server knew of the machine. */
export function answerCheckIn(
  request: CheckIn,
  before: MachineRecord | undefined,
  offered: Offered | undefined,
  ledger: Ledger,
  now: number,
): CheckInAnswer {
  if (!offered) return GO;
  count(request, before, offered, ledger, now);
  if (request.wants === undefined) return GO;
  return mayGo(request, offered, ledger, now);
}

/** A check-in as it is kept and shown: whoever has the token of a machine may say anything. */
export const inCleanWords = ({ agent, waitingFor, outcome, ...rest }: CheckIn): CheckIn => ({
  ...rest,
  agent: cleanLine(agent),
  ...(waitingFor === undefined ? {} : { waitingFor: cleanLine(waitingFor) }),
  ...(outcome === undefined ? {} : { outcome: cleanOutcome(outcome) }),
});

const cleanOutcome = ({ code, reason, ...rest }: NonNullable<CheckIn['outcome']>): typeof rest => ({
  ...rest,
  ...(code === undefined ? {} : { code: cleanLine(code) }),
  ...(reason === undefined ? {} : { reason: cleanLine(reason) }),
});

/** Whether the ledger of the rollout must be read and written for this check-in: most hosts only say that they are there. */
export const concernsLedger = (request: CheckIn, before: MachineRecord | undefined): boolean =>
  request.wants !== undefined || hasNews(request, before);

const GO: CheckInAnswer = { schema: 1, go: true };

const hasNews = ({ outcome, running, confirmed }: CheckIn, before: MachineRecord | undefined): boolean =>
  (outcome !== undefined && outcome.at !== before?.outcome?.at) ||
  (confirmed && (before === undefined || running.version !== before.running.version || !before.confirmed));

/** A proven release is a success, whatever was reported of it; a failed attempt counts once, by the moment at which it ended. */
function count(
  request: CheckIn,
  before: MachineRecord | undefined,
  { policy, limits }: Offered,
  ledger: Ledger,
  now: number,
): void {
  const { machine, running, confirmed, outcome } = request;
  const isStep = (version: string): boolean =>
    version === policy.release.version || policy.barriers.some((one) => one.version === version);
  if (confirmed && isStep(running.version)) {
    report(ledger, limits, machine, undefined, now);
    return;
  }
  const isNew = outcome !== undefined && outcome.at !== before?.outcome?.at;
  if (!isNew || !isStep(outcome.version)) return;
  if (outcome.result === 'rolled-back' || outcome.result === 'failed')
    report(ledger, limits, machine, shortened(outcome.reason ?? outcome.code ?? outcome.result), now);
  // Given up before anything was tried: the place is free again, and nobody is hurt.
  else if (outcome.result === 'withdrawn') ledger.inFlight.delete(machine);
}

/** All failed hosts of a rollout are in one document; the machine's own has what it said in full. */
const shortened = (reason: string): string => cleanLine(reason, 80);

function mayGo(request: CheckIn, { policy, limits }: Offered, ledger: Ledger, now: number): CheckInAnswer {
  const verdict = judgeHost(policy, request, now);
  if (verdict.result === 'hold') return noGo(verdict);
  if (verdict.result === 'current') return GO;
  if (verdict.step.version !== request.wants)
    return noGo({ code: 'not-on-offer', reason: `${request.wants} is not what this host is offered` });
  const admission = admit(ledger, limits, request.machine, now, limits.patienceMs);
  return admission.admitted ? GO : noGo(admission);
}

type NoGo = Readonly<{ code: HoldCode | AdmissionCode; reason: string; until?: number }>;

const noGo = ({ code, reason, until }: NoGo): CheckInAnswer => ({
  schema: 1,
  go: false,
  code,
  reason,
  ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
});
