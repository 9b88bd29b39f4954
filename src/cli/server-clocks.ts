/** The clock of this server among those that share its store. */

import { asUpdateError } from '../errors.ts';
import { type Clocks, createClocks, LOOK_MS } from '../server/clocks.ts';
import type { Expiry } from '../server/expiry.ts';
import type { Store } from '../server/store.ts';
import { isOutage } from '../server/watched-store.ts';
import { readTextIfAny } from '../system/files.ts';
import type { Context } from './command.ts';

export async function clocksOf({ clock, files, log, random }: Context, store: Store): Promise<Clocks> {
  const name = (await readTextIfAny(files, '/proc/sys/kernel/hostname')) ?? 'a server';
  return createClocks({
    store,
    id: Buffer.from(random.bytes(16)).toString('hex'),
    name,
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    log,
  });
}

/** By a clock that may be wrong nobody is forgotten. */
export const byClocks = (clocks: Clocks, expiry: Expiry): Expiry => ({
  ...expiry,
  forget: async (ids) => {
    if (clocks.mayJudge(0)) await expiry.forget(ids);
  },
});

export async function compareUntilStopped({ clock, signal, log }: Context, clocks: Clocks): Promise<void> {
  while (!signal.aborted) {
    await clocks.look().catch((error: unknown) => {
      const { code, message } = asUpdateError(error);
      if (!isOutage(code)) log.warn({ code }, `the clocks could not be compared: ${message}`);
    });
    await clock.sleep(LOOK_MS, signal).catch(() => undefined);
  }
}
