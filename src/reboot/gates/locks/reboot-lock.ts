/** The lock as the last gate: what it answers becomes a verdict, and what fails a closed gate with the time of the next try. */

import { asUpdateError, type UpdateError } from '../../../errors.ts';
import type { Clock } from '../../../system/clock.ts';
import type { Random } from '../../../system/random.ts';
import { closed, type GateCode, OPEN, type Verdict } from '../gate.ts';
import type { LockStatus, RebootLock } from '../lock.ts';
import type { LockAnswer, LockClient } from './lock-client.ts';

/** What remembers what is owed. */
type Debts = Pick<RebootLock, 'giveBackOwed' | 'debt'>;

type World = Readonly<{
  place: string;
  group: string;
  why(): string;
  /** What shows who holds it; there is none where only its operator can look. */
  command?: string;
  clock: Clock;
  random: Random;
}>;

/** Asks at most as often as the lock wants to be asked, however often the loop looks. */
export function rebootLock(client: LockClient & Debts, world: World): RebootLock {
  let status: LockStatus | undefined;
  let rest: Readonly<{ verdict: Verdict; untilMs: number }> | undefined;
  let failures = 0;

  const told = (verdict: Verdict, pauseMs: number): Verdict => {
    rest = { verdict, untilMs: world.clock.monotonicMs() + pauseMs };
    return verdict;
  };
  const more = (pauseMs: number): { next: Date; command?: string } => ({
    next: new Date(world.clock.now().getTime() + pauseMs),
    ...(world.command === undefined ? {} : { command: world.command }),
  });

  const answered = (answer: LockAnswer): Verdict => {
    failures = 0;
    const { place, group } = world;
    const since = status?.held ? status.since : world.clock.now().toISOString();
    status = { place, group, held: answer.held, ...(answer.held && since !== undefined ? { since } : {}) };
    if (answer.held) return OPEN;
    const { code, reason, askAgainMs } = answer;
    return told(closed(code, 'hard', `the lock: ${reason}`, more(askAgainMs)), askAgainMs);
  };

  const failed = (error: UpdateError): Verdict => {
    const pauseMs = Math.max(pauseOf(failures++, world.random), Number(error.details['retryAfterMs'] ?? 0));
    return told(closed(gateOf(error), 'hard', `the lock: ${error.message}`, more(pauseMs)), pauseMs);
  };

  return {
    take: async () => {
      if (rest && world.clock.monotonicMs() < rest.untilMs) return rest.verdict;
      return client.take(world.why()).then(answered, (error: unknown) => failed(asUpdateError(error)));
    },
    begin: async () => {
      rest = undefined;
      await client.begin();
    },
    giveBack: async (ended) => {
      rest = undefined;
      await client.giveBack(ended);
      status = { place: world.place, group: world.group, held: false };
    },
    giveBackOwed: () => client.giveBackOwed(),
    debt: () => client.debt(),
    status: () => status,
  };
}

/** What fails is out of reach, unless it was understood and must be seen to by somebody. */
function gateOf({ code }: UpdateError): GateCode {
  if (code === 'lock-foreign' || code === 'lock-identity' || code === 'lock-document-invalid') return code;
  return 'lock-unreachable';
}

/** Doubles from 5 s up to 5 min, with full jitter above half of it. */
const pauseOf = (failures: number, random: Random): number =>
  Math.ceil(Math.min(300_000, 5000 * 2 ** Math.min(failures, 10)) * (0.5 + 0.5 * random.fraction()));
