/** A host that reports to a rollout: what has become of it is counted, and what it asks is answered. Pure. */

import type { Fault, Version } from '../model.ts';
import { type AdmissionCode, admit, fail, type Ledger, leave, pass, returned, succeed } from './brake.ts';
import type { ServerLimits } from './document.ts';
import { goalOf, type HoldCode, type Host, isStep, judgeHost, type Rollout, type Verdict } from './rollout.ts';

/** What a channel rolls out. */
export type Offered = Readonly<{ policy: Rollout; limits: ServerLimits }>;

export type Caller = Host &
  Readonly<{
    /** What runs is proven. */
    confirmed: boolean;
    /** Nothing has been begun here, or nothing is left of it. */
    idle: boolean;
    /** What it would begin now. */
    wants?: Version;
    /** What it is offered and will not begin, because it has failed there. */
    refuses?: Version;
    /** An attempt that has ended since it was last heard. */
    ended?: Readonly<{ version: Version; result: string; reason: string; fault: Fault }>;
  }>;

/** `readmitted`: an operator wants the host to forget what it refuses, and to ask for it. */
export type RolloutAnswer =
  | Readonly<{ go: true; readmitted?: true }>
  | Readonly<{ go: false; code: HoldCode | AdmissionCode; reason: string; until?: number }>;

/** Changes the ledger that it is given. */
export function answerHost(offered: Offered, ledger: Ledger, caller: Caller, now: number): RolloutAnswer {
  count(offered, ledger, caller, now);
  const answer =
    caller.wants === undefined
      ? reportedBy(offered, ledger, caller, now)
      : mayGo(offered, ledger, caller, caller.wants, now);
  // Whoever has nothing begun, and wants nothing or may not begin, is not under way.
  if (caller.idle && (caller.wants === undefined || !answer.go)) leave(ledger, caller.machine);
  return answer;
}

const GO: RolloutAnswer = { go: true };

/** While the brake is pulled nobody is asked to try again. */
function reportedBy({ policy }: Offered, ledger: Ledger, caller: Caller, now: number): RolloutAnswer {
  if (caller.refuses === undefined || ledger.braked || !ledger.readmitted.has(caller.machine)) return GO;
  const verdict = judgeHost(policy, caller, now);
  const isOffered = verdict.result === 'offer' && verdict.step.version === caller.refuses;
  return isOffered ? { go: true, readmitted: true } : GO;
}

/** A proven release is a success, whatever was reported of it. One on the way is passed once it is the one that was attempted. */
function count({ policy, limits }: Offered, ledger: Ledger, caller: Caller, now: number): void {
  const { machine, running, confirmed, ended } = caller;
  if (confirmed && running.version === goalOf(policy, caller.group).version) return void succeed(ledger, machine);
  const { via } = ledger.inFlight.get(machine) ?? ledger.failed.get(machine) ?? {};
  if (confirmed && running.version === via) pass(ledger, machine);
  if (caller.idle) returned(ledger, machine);
  if (!ended || ended.result === 'updated' || !isStep(policy, ended.version)) return;
  const attempt = { machine, ...viaOf(policy, ended.version) };
  const { reason, fault } = ended;
  if (ended.result !== 'withdrawn' && fault !== 'surroundings')
    fail(ledger, limits, attempt, { reason, ...(fault === 'doubt' ? { doubt: 'lost' } : {}) }, now);
  // Who was kept from it has hurt nobody, and neither has who gave it up.
  else if (ledger.inFlight.get(machine)?.via === attempt.via) leave(ledger, machine);
}

function mayGo(
  { policy, limits }: Offered,
  ledger: Ledger,
  caller: Caller,
  wants: Version,
  now: number,
): RolloutAnswer {
  const verdict = judgeHost(policy, caller, now);
  if (verdict.result === 'hold') return held(verdict);
  const offers = verdict.result === 'current' ? caller.running.version : verdict.step.version;
  if (offers !== wants) return { go: false, code: 'not-on-offer', reason: `${wants} is not what this host is offered` };
  if (verdict.result === 'current') return GO;
  const attempt = { machine: caller.machine, ...viaOf(policy, wants) };
  const admission = admit(ledger, limits, attempt, now, limits.patienceMs);
  return admission.admitted ? GO : { go: false, code: admission.code, reason: admission.reason };
}

const held = ({ code, reason, until }: Extract<Verdict, { result: 'hold' }>): RolloutAnswer => ({
  go: false,
  code,
  reason,
  ...(until === undefined ? {} : { until }),
});

const viaOf = ({ release }: Rollout, version: Version): Readonly<{ via?: Version }> =>
  version === release.version ? {} : { via: version };
