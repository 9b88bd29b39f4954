/** The fleet's lock as the loop uses it: the last gate before arming, and its release afterwards. */

import { cleanLine } from '../../clean-text.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import type { Outcome, Product } from '../../model.ts';
import type { LockOwed } from '../../protocol.ts';
import { closed, type GateCode, type GateVerdict, OPEN } from '../../reboot/gates/gate.ts';
import type { LockAnswer } from '../../reboot/gates/locks/lock-client.ts';
import type { Clock } from '../../system/clock.ts';
import type { Log } from '../../system/log.ts';
import type { Random } from '../../system/random.ts';
import type { KeptLock } from './kept-lock.ts';

export interface LockGate {
  /** The last answer, or a new one if `asks`: when every other gate is open. `goes`: soft gates are overridden. */
  verdict(asks: boolean, goes?: boolean): Promise<GateVerdict>;
  /** Whether this host has the lock, from the last answer; until there is one, whether an earlier agent may have taken it. */
  isHeld(): Promise<boolean>;
  /** The host restarts now. */
  take(): Promise<void>;
  /** Releases the lock. A failure is tried again later, and does not stop updates. */
  giveBack(outcome?: Outcome): Promise<void>;
  /** Releases locks that could not be released before, including before this start. */
  lookAfter(): Promise<void>;
  /** The lock whose last release failed, and why. */
  owed(): LockOwed | undefined;
  /** The time until it must be asked or looked after again. */
  wakeMs(): number | undefined;
}

type LockGateWorld = Readonly<{ product: Product; clock: Clock; random: Random; log: Log }>;

export function lockGate(lock: KeptLock, world: LockGateWorld): LockGate {
  const { clock, log } = world;
  const grant = askedAtIntervals(lock, world);
  let isLookedAfter = false;
  let againAt: number | undefined;
  let failure: UpdateError | undefined;

  const tryTo = async (give: () => Promise<void>): Promise<void> => {
    try {
      await give();
      againAt = undefined;
      failure = undefined;
    } catch (error) {
      const { code, message } = asUpdateError(error);
      if (code !== failure?.code) log.warn({ code }, `the reboot lock cannot be released yet: ${message}`);
      againAt = clock.monotonicMs() + AGAIN_MS;
      failure = asUpdateError(error);
    }
  };
  const inMs = (at: number): number => Math.max(0, at - clock.monotonicMs());

  return {
    verdict: async (asks) => {
      if (!asks) return grant.last();
      const verdict = await grant.ask();
      if (lock.debt()) againAt ??= clock.monotonicMs() + AGAIN_MS;
      else againAt = failure = undefined;
      return verdict;
    },
    isHeld: grant.isHeld,
    take: async () => {
      const verdict = await grant.ask();
      if (!verdict.ok) throw new UpdateError('lock-lost', verdict.reason);
      await lock.begin();
    },
    giveBack: async (outcome) => {
      grant.forget();
      await tryTo(async () => {
        await lock.giveBack(endedOf(outcome));
        grant.end();
      });
    },
    lookAfter: async () => {
      if (isLookedAfter && (againAt === undefined || inMs(againAt) > 0)) return;
      isLookedAfter = true;
      await tryTo(() => lock.giveBackOwed());
    },
    owed: () => {
      const debt = lock.debt();
      if (!debt || !failure) return undefined;
      const { code, message } = failure;
      const next = new Date(clock.now().getTime() + inMs(againAt ?? 0)).toISOString();
      return { ...debt, code, message: cleanLine(message), next };
    },
    wakeMs: () => {
      const last = grant.last();
      const next = last.ok ? undefined : last.next;
      const waits = [
        ...(againAt === undefined ? [] : [inMs(againAt)]),
        ...(next ? [Math.max(0, next.getTime() - clock.now().getTime())] : []),
      ];
      return waits.length > 0 ? Math.min(...waits) : undefined;
    },
  };
}

/** The lock's answer as a verdict. The lock sets the interval of requests, however often the loop turns. */
function askedAtIntervals(lock: KeptLock, { product, clock, random }: LockGateWorld) {
  let last: GateVerdict = OPEN;
  let restsUntilMs = 0;
  let failures = 0;
  let isHeld: boolean | undefined;

  const refused = (code: GateCode, reason: string, pauseMs: number): GateVerdict => {
    restsUntilMs = clock.monotonicMs() + pauseMs;
    const next = new Date(clock.now().getTime() + pauseMs);
    const { command } = lock;
    return closed(code, 'hard', `the lock: ${reason}`, { next, ...(command === undefined ? {} : { command }) });
  };
  const answered = (answer: LockAnswer): GateVerdict => {
    failures = 0;
    isHeld = answer.ok && lock.isConfigured;
    return answer.ok ? OPEN : refused(answer.code, answer.reason, answer.askAgainMs);
  };
  const failed = (error: UpdateError): GateVerdict => {
    // Without a lock there is no gate to close; only its memory on disk can have failed.
    if (!lock.isConfigured) throw error;
    const pauseMs = Math.max(pauseOf(failures++, random), Number(error.details['retryAfterMs'] ?? 0));
    return refused(gateOf(error), error.message, pauseMs);
  };
  return {
    last: (): GateVerdict => last,
    isHeld: async (): Promise<boolean> => isHeld ?? (await lock.mayHold()),
    /** A failure is a closed gate with the time of the next try. */
    ask: async (): Promise<GateVerdict> => {
      if (last.ok || clock.monotonicMs() >= restsUntilMs)
        last = await lock
          .take(`an update of ${product}`)
          .then(answered, (error: unknown) => failed(asUpdateError(error)));
      return last;
    },
    /** The last answer no longer counts. */
    forget: (): void => {
      last = OPEN;
    },
    /** The lock was released. */
    end: (): void => {
      isHeld = false;
    },
  };
}

const AGAIN_MS = 60_000;

/** Only a host that rebooted has a result to report. */
function endedOf(outcome: Outcome | undefined): { failed?: string } | undefined {
  if (outcome?.result === 'updated') return {};
  if (outcome?.result === 'rolled-back') return { failed: outcome.reason };
  return undefined;
}

/** Unreachable, unless the failure is one that needs an operator. */
function gateOf({ code }: UpdateError): GateCode {
  if (code === 'lock-foreign' || code === 'lock-identity' || code === 'lock-document-invalid') return code;
  return 'lock-unreachable';
}

/** Doubles from 5 s up to 5 min, with full jitter above half of it. */
const pauseOf = (failures: number, random: Random): number =>
  Math.ceil(Math.min(300_000, 5000 * 2 ** Math.min(failures, 10)) * (0.5 + 0.5 * random.fraction()));
