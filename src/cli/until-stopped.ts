/** What a server does beside answering: again and again, until it stops. */

import { asUpdateError, type UpdateError } from '../errors.ts';
import { isOutage } from '../server/store/watched.ts';
import type { Context } from './command.ts';

/** `failed` hears of what goes wrong, but not of outages of the store: those are logged where they begin and end. */
export async function untilStopped(
  { clock, signal }: Context,
  everyMs: number,
  work: () => Promise<unknown>,
  failed: (failure: UpdateError) => void,
): Promise<void> {
  while (!signal.aborted) {
    await work().catch((error: unknown) => {
      const failure = asUpdateError(error);
      if (!isOutage(failure.code)) failed(failure);
    });
    await clock.sleep(everyMs, signal).catch(() => undefined);
  }
}
