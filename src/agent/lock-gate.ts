/** The fleet's lock as the loop uses it: the last gate before arming, and what is owed to the fleet afterwards. */

import { UpdateError } from '../errors.ts';
import type { Outcome } from '../model.ts';
import { OPEN, type Verdict } from '../reboot/gates/gate.ts';
import type { RebootLock } from '../reboot/gates/lock.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';

export interface LockGate {
  /** The last answer, or a new one: asked for when nothing else objects. `goes`: soft objections are not heard. */
  verdict(asks: boolean, goes?: boolean): Promise<Verdict>;
  /** The host leaves now. */
  take(): Promise<void>;
  giveBack(outcome?: Outcome): Promise<void>;
  /** Gives back what could not be given back. */
  lookAfter(): Promise<void>;
  /** In how long it wants to be asked or looked after again. */
  wakeMs(): number | undefined;
}

export function lockGate(lock: RebootLock, { clock, log }: Readonly<{ clock: Clock; log: Log }>): LockGate {
  let last: Verdict = OPEN;
  let owedAt: number | undefined;

  const tryToGiveBack = async (): Promise<void> => {
    try {
      await lock.giveBack();
      owedAt = undefined;
    } catch (error) {
      owedAt = clock.monotonicMs() + AGAIN_MS;
      log.warn({ code: error instanceof UpdateError ? error.code : 'unexpected' }, 'the lock cannot be given back yet');
    }
  };

  return {
    verdict: async (asks) => {
      if (!asks) return last;
      owedAt = undefined;
      last = await lock.take();
      return last;
    },
    take: async () => {
      last = await lock.take();
      if (!last.open) throw new UpdateError('lock-lost', last.reason);
      await lock.begin();
    },
    giveBack: async (outcome) => {
      last = OPEN;
      const ended = endedOf(outcome);
      // How an attempt ended must be known to the fleet before this host goes on. Where none was made, there may be nothing to give
      // back, and a host must not be without updates because the lock is out of reach.
      if (ended) await lock.giveBack(ended);
      else await tryToGiveBack();
    },
    lookAfter: async () => {
      if (owedAt !== undefined && clock.monotonicMs() >= owedAt) await tryToGiveBack();
    },
    wakeMs: () => {
      if (owedAt !== undefined) return Math.max(0, owedAt - clock.monotonicMs());
      if (last.open || !last.next) return undefined;
      return Math.max(0, last.next.getTime() - clock.now().getTime());
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
