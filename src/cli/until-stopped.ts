/** Repeats a server's background work until the server stops. */

import { asUpdateError, type UpdateError } from '../errors.ts';
import { isOutage } from '../server/store/watched.ts';
import type { Context } from './command.ts';

/** `failed` gets every failure except outages of the store, which are logged where they begin and end. */
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
