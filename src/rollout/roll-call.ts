/** Answers a host's check-in to a rollout, and counts its outcome. Pure. */

import type { Fault, Version } from '../model.ts';
import { type AdmissionCode, admit, fail, type Ledger, leave, pass, returned, succeed } from './brake.ts';
import type { ServerLimits } from './document.ts';
import { goalOf, type HoldCode, type Host, isStep, judgeHost, type Rollout, type Ruling } from './rollout.ts';

export type Offered = Readonly<{ policy: Rollout; limits: ServerLimits }>;

export type Caller = Host &
  Readonly<{
    /** The running release is confirmed. */
    confirmed: boolean;
    /** No attempt is in progress. */
    idle: boolean;
    /** The release it would start to install now. */
    wants?: Version;
    /** The offered release that it refuses because it failed there. */
    refuses?: Version;
    /** An attempt that has ended since its last check-in. */
    ended?: Readonly<{ version: Version; result: string; reason: string; fault: Fault }>;
  }>;

/** `readmitted`: an operator wants the host to drop its refusal and ask for the release again. */
export type RolloutAnswer =
  | Readonly<{ go: true; readmitted?: true }>
  | Readonly<{ go: false; code: HoldCode | AdmissionCode; reason: string; until?: number }>;

/** Modifies the ledger in place. */
export function answerHost(offered: Offered, ledger: Ledger, caller: Caller, now: number): RolloutAnswer {
  count(offered, ledger, caller, now);
  const answer =
    caller.wants === undefined
      ? reportedBy(offered, ledger, caller, now)
      : mayGo(offered, ledger, caller, caller.wants, now);
  // An idle host that wants nothing, or may not start, is not under way.
  if (caller.idle && (caller.wants === undefined || !answer.go)) leave(ledger, caller.machine);
  return answer;
}

const GO: RolloutAnswer = { go: true };

/** Readmits no host while the brake is pulled. */
function reportedBy({ policy }: Offered, ledger: Ledger, caller: Caller, now: number): RolloutAnswer {
  if (caller.refuses === undefined || ledger.braked || !ledger.readmitted.has(caller.machine)) return GO;
  const verdict = judgeHost(policy, caller, now);
  const isOffered = verdict.result === 'offer' && verdict.step.version === caller.refuses;
  return isOffered ? { go: true, readmitted: true } : GO;
}

/** A confirmed release is a success, whatever was reported before. A confirmed intermediate release counts only if it was the one attempted. */
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
  // Neither a fault of the surroundings nor a withdrawal counts as a failure.
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
  if (offers !== wants) return { go: false, code: 'not-on-offer', reason: `${wants} is not on offer for this host` };
  if (verdict.result === 'current') return GO;
  const attempt = { machine: caller.machine, ...viaOf(policy, wants) };
  const admission = admit(ledger, limits, attempt, now, limits.patienceMs);
  return admission.admitted ? GO : { go: false, code: admission.code, reason: admission.reason };
}

const held = ({ code, reason, until }: Extract<Ruling, { result: 'hold' }>): RolloutAnswer => ({
  go: false,
  code,
  reason,
  ...(until === undefined ? {} : { until }),
});

const viaOf = ({ release }: Rollout, version: Version): Readonly<{ via?: Version }> =>
  version === release.version ? {} : { via: version };
