/** The loop: observe, decide, act, save, observe again. */

import { asUpdateError, type UpdateError } from '../../errors.ts';
import type { State } from '../../model.ts';
import { type Action, decide } from './machine.ts';
import type { Parts } from './parts.ts';
import { perform } from './perform.ts';

export interface Loop {
  readonly parts: Parts;
  /** The state last saved. */
  state(): State;
  /** Called before an action begins. */
  began(action: Action): void;
  /** Called with the failure of an action; the same question is asked again after `pause`. */
  failed(action: Action | undefined, error: UpdateError): void;
  /** Sleeps until something may have changed: a poll or a retry is due, an operator sent a request, a gate may have opened. */
  pause(reason: string, signal: AbortSignal): Promise<void>;
}

/** Runs until the signal; never throws, whatever the world does. */
export async function runLoop(loop: Loop, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const reason = await step(loop);
    if (reason !== undefined && !signal.aborted) await loop.pause(reason, signal);
  }
}

/** One turn; returns why to pause, or undefined to continue at once. */
export async function step(loop: Loop): Promise<string | undefined> {
  let action: Action | undefined;
  try {
    const state = loop.state();
    action = decide(state, await loop.parts.observe(state));
    if (action.do === 'wait') return action.reason;
    loop.began(action);
    await perform(loop.parts, state, action);
    const isLeaving = action.do === 'reboot' || action.do === 'fall-back';
    return isLeaving ? 'the restart of the machine' : undefined;
  } catch (error) {
    loop.failed(action, asUpdateError(error));
    return 'the next try';
  }
}
