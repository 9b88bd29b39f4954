/** The effect of a check-in on the machine's rollout. Pure. */

import { cleanLine } from '../../clean-text.ts';
import { isErrorCode, isOfRelease } from '../../errors.ts';
import type { CheckIn, CheckInAnswer, HostFacts } from '../../formats/check-in.ts';
import type { Fault } from '../../model.ts';
import type { Ledger } from '../../rollout/brake.ts';
import { answerHost, type Caller, type Offered } from '../../rollout/roll-call.ts';
import type { Cloned } from './clones.ts';
import type { MachineRecord } from './machines.ts';

/** Modifies the ledger in place. `before`: the server's record of the machine. Without `offered`, the channel offers its release to all hosts. */
export function answerCheckIn(
  request: CheckIn,
  before: MachineRecord | undefined,
  offered: Offered | undefined,
  ledger: Ledger,
  now: number,
): CheckInAnswer {
  if (!offered) return { schema: 1, go: true };
  const answer = answerHost(offered, ledger, callerOf(request, before), now);
  if (answer.go) return { schema: 1, ...answer };
  const { code, reason, until } = answer;
  return {
    schema: 1,
    go: false,
    code,
    reason,
    ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
  };
}

/** Cloned machines cannot be distinguished: their outcomes count, but neither may start. */
export const withoutWish = ({ wants: _wants, ...rest }: CheckIn): CheckIn => rest;

export function answerToClones(
  { host = {} }: CheckIn,
  { other }: Pick<Cloned, 'other'>,
): Extract<CheckInAnswer, { go: false }> {
  const [mine, its] = [host, other].map(({ name = 'a machine', address }) =>
    address === undefined ? name : `${name} at ${address}`,
  );
  return { schema: 1, go: false, code: 'machine-cloned', reason: `two machines share one id: ${mine}, and ${its}` };
}

/** A check-in as stored and shown, cleaned, because anyone with the machines' token can send any text. */
export const cleanCheckIn = ({ agent, host, waitingFor, outcome, ...rest }: CheckIn): CheckIn => ({
  ...rest,
  agent: cleanLine(agent),
  ...(host === undefined ? {} : { host: cleanHost(host) }),
  ...(waitingFor === undefined ? {} : { waitingFor: cleanLine(waitingFor) }),
  ...(outcome === undefined ? {} : { outcome: cleanOutcome(outcome) }),
});

/** Empty text is dropped. */
function cleanHost(host: HostFacts): HostFacts {
  // Fast path for the usual clean check-in, because this runs for every one.
  if (Object.values(host).every((text) => text !== '' && cleanLine(text, LONGEST_FACT) === text)) return host;
  return Object.fromEntries(
    Object.entries(host)
      .map(([key, text]) => [key, cleanLine(text, LONGEST_FACT)] as const)
      .filter(([, text]) => text !== ''),
  );
}

const LONGEST_FACT = 255;

const cleanOutcome = ({ code, reason, ...rest }: NonNullable<CheckIn['outcome']>): typeof rest => ({
  ...rest,
  ...(code === undefined ? {} : { code: cleanLine(code) }),
  ...(reason === undefined ? {} : { reason: cleanLine(reason) }),
});

/** Whether a check-in needs the rollout's ledger; most only report that a host is there. */
export const concernsLedger = (request: CheckIn, before: MachineRecord | undefined): boolean =>
  request.wants !== undefined ||
  request.refuses !== undefined ||
  hasNews(request, before) ||
  hasComeToRest(request, before);

const hasNews = (request: CheckIn, before: MachineRecord | undefined): boolean =>
  isEnded(request, before) ||
  (request.confirmed &&
    (before === undefined || request.running.version !== before.running.version || !before.confirmed));

/** A failed attempt counts once, identified by its end time. */
const isEnded = ({ outcome }: CheckIn, before: MachineRecord | undefined): boolean =>
  outcome !== undefined && outcome.at !== before?.outcome?.at;

const hasComeToRest = ({ state }: CheckIn, before: MachineRecord | undefined): boolean =>
  state === 'idle' && before !== undefined && (before.state !== 'idle' || before.wants !== undefined);

function callerOf(request: CheckIn, before: MachineRecord | undefined): Caller {
  const { machine, group, running, confirmed, state, wants, refuses, outcome } = request;
  const ended = outcome && isEnded(request, before) ? outcome : undefined;
  return {
    ...{ machine, group, running, confirmed, idle: state === 'idle' },
    ...(wants === undefined ? {} : { wants }),
    ...(refuses === undefined ? {} : { refuses }),
    ...(ended
      ? {
          ended: {
            version: ended.version,
            result: ended.result,
            reason: shortened(ended.reason ?? ended.code ?? ended.result),
            fault: faultOf(ended),
          },
        }
      : {}),
  };
}

/** Older agents, without this field, report the fault only through the code. */
function faultOf({ fault, result, code = '' }: NonNullable<CheckIn['outcome']>): Fault {
  if (fault !== undefined) return fault;
  if (result === 'rolled-back') return LOST.has(code) ? 'doubt' : 'release';
  if (!isErrorCode(code)) return 'doubt';
  return isOfRelease(code) ? 'release' : 'surroundings';
}

const LOST: ReadonlySet<string> = new Set(['trial-lost', 'boot-untried']);

/** All failed hosts of a rollout share one document; a machine's own record has the full text. */
const shortened = (reason: string): string => cleanLine(reason, 80);
