/** The pending restart: its method, and whether it is about to happen. */

import type { State } from '../../model.ts';
import type { Status } from '../../protocol.ts';
import type { Clock } from '../../system/clock.ts';
import type { Journal } from '../loop/journal.ts';
import { HISTORY_LIMIT } from '../loop/journal-format.ts';
import type { Restart } from '../loop/parts.ts';

export interface Leaving {
  /** Waits for systemd to agree, and remembers when it has. */
  agreed(restart: Promise<void>): Promise<void>;
  /** systemd has agreed, recently enough that the restart may still happen. */
  isAgreed(): boolean;
}

export function createLeaving(clock: Pick<Clock, 'monotonicMs'>): Leaving {
  let at: number | undefined;
  return {
    agreed: async (restart) => {
      await restart;
      at = clock.monotonicMs();
    },
    isAgreed: () => at !== undefined && clock.monotonicMs() - at < LEAVING_MS,
  };
}

/** The method of the pending restart, if there is one, and the result of the last. `isLeaving`: systemd has agreed to a restart. */
export async function restartStatus(
  restart: Pick<Restart, 'choose'>,
  journal: Pick<Journal, 'history'>,
  state: State,
  isLeaving: boolean,
): Promise<Pick<Status, 'restart' | 'lastRestart'>> {
  const ahead = await wayAhead(restart, state, isLeaving);
  const last = (await journal.history(HISTORY_LIMIT)).find(({ method }) => method);
  return {
    ...(ahead ? { restart: ahead } : {}),
    ...(last?.method ? { lastRestart: { ...last, method: last.method } } : {}),
  };
}

/** Not determined again while the machine leaves: that could keep it from stopping. After a failed restart, its method is used up. */
async function wayAhead(
  restart: Pick<Restart, 'choose'>,
  state: State,
  isLeaving: boolean,
): Promise<Status['restart']> {
  if (state.kind === 'armed' && state.departure && isLeaving)
    return { method: state.departure.method, reason: state.departure.reason, ruledOut: [] };
  if (state.kind === 'armed') return restart.choose(state.target, state.tried ?? []);
  return state.kind === 'staged' ? restart.choose(state.target, []) : undefined;
}

const LEAVING_MS = 5 * 60_000;
