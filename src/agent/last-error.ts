/** The failure that the agent shows: the last one, until it is over. */

import type { UpdateError } from '../errors.ts';
import type { Saved } from '../model.ts';
import type { Failure, Status } from '../protocol.ts';
import type { Clock } from '../system/clock.ts';
import { errorNow, failureOf, shownError } from './findings.ts';
import type { Journal } from './loop/journal.ts';
import type { Action, Event } from './loop/machine.ts';

export interface LastError {
  /** Without an action, even observing failed. */
  failed(action: Action | undefined, error: UpdateError): Failure;
  /** An event was saved. */
  saved(before: Saved, event: Event, now: Saved): void;
  /** The result of `look`; success clears an earlier failure to observe. */
  seeing<T>(look: Promise<T>): Promise<T>;
  forget(): void;
  status(saved: Saved): Pick<Status, 'lastError'>;
}

export function createLastError(clock: Pick<Clock, 'now'>, journal: Pick<Journal, 'trouble'>): LastError {
  let last: Status['lastError'];
  let isBlind = false;
  return {
    failed: (action, error) => {
      isBlind = action === undefined;
      last = shownError(error, clock.now().toISOString());
      return last;
    },
    saved: (before, event, now) => {
      if (now.state.kind === 'settling' && now.state.outcome.result !== 'none') last = failureOf(now);
      // The obstacle to settling is gone.
      if (event.type === 'settled') last = failureOf(before);
    },
    seeing: async (look) => {
      const seen = await look;
      if (isBlind) last = undefined;
      isBlind = false;
      return seen;
    },
    forget: () => {
      last = undefined;
    },
    status: (saved) => errorNow(journal.trouble(), saved, last),
  };
}
