/** The fleet's lock as the loop uses it: the last gate before arming, and what is owed to the fleet afterwards. */

import { cleanLine } from '../../clean-text.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import type { Outcome } from '../../model.ts';
import type { LockOwed } from '../../protocol.ts';
import { OPEN, type Verdict } from '../../reboot/gates/gate.ts';
import type { RebootLock } from '../../reboot/gates/lock.ts';
import type { Clock } from '../../system/clock.ts';
import type { Log } from '../../system/log.ts';

export interface LockGate {
  /** The last answer, or a new one: asked for when nothing else objects. `goes`: soft objections are not heard. */
  verdict(asks: boolean, goes?: boolean): Promise<Verdict>;
  /** The host leaves now. */
  take(): Promise<void>;
  /** What cannot be given back is owed; a host is not without updates for it. */
  giveBack(outcome?: Outcome): Promise<void>;
  /** Gives back what could not be given back, also before this start. */
  lookAfter(): Promise<void>;
  /** What could not be given back when it was last tried, and why. */
  owed(): LockOwed | undefined;
  /** In how long it wants to be asked or looked after again. */
  wakeMs(): number | undefined;
}

export function lockGate(lock: RebootLock, { clock, log }: Readonly<{ clock: Clock; log: Log }>): LockGate {
  let last: Verdict = OPEN;
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
      if (code !== failure?.code) log.warn({ code }, `the lock cannot be given back yet: ${message}`);
      againAt = clock.monotonicMs() + AGAIN_MS;
      failure = asUpdateError(error);
    }
  };
  const inMs = (at: number): number => Math.max(0, at - clock.monotonicMs());

  return {
    verdict: async (asks) => {
      if (!asks) return last;
      last = await lock.take();
      if (lock.debt()) againAt ??= clock.monotonicMs() + AGAIN_MS;
      else againAt = failure = undefined;
      return last;
    },
    take: async () => {
      last = await lock.take();
      if (!last.open) throw new UpdateError('lock-lost', last.reason);
      await lock.begin();
    },
    giveBack: async (outcome) => {
      last = OPEN;
      await tryTo(() => lock.giveBack(endedOf(outcome)));
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
      const waits = [
        ...(againAt === undefined ? [] : [inMs(againAt)]),
        ...(last.open || !last.next ? [] : [Math.max(0, last.next.getTime() - clock.now().getTime())]),
      ];
      return waits.length > 0 ? Math.min(...waits) : undefined;
    },
  };
}

const AGAIN_MS = 60_000;

/** Only who has rebooted has something to tell. */
function endedOf(outcome: Outcome | undefined): { failed?: string } | undefined {
  if (outcome?.result === 'updated') return {};
  if (outcome?.result === 'rolled-back') return { failed: outcome.reason };
  return undefined;
}
