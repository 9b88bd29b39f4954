/** The clock of this server, compared with those of the servers that share its store. */

import { type Clocks, createClocks, LOOK_MS } from '../../server/fleet/clocks.ts';
import type { Expiry } from '../../server/fleet/expiry.ts';
import type { Store } from '../../server/store/store.ts';
import { readTextIfAny } from '../../system/files.ts';
import type { Context } from '../command.ts';
import { untilStopped } from '../until-stopped.ts';

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

/** No machine is forgotten by a clock that may be wrong. */
export const byClocks = (clocks: Clocks, expiry: Expiry): Expiry => ({
  ...expiry,
  forget: async (ids) => {
    if (clocks.mayJudge(0)) await expiry.forget(ids);
  },
});

export const compareUntilStopped = (context: Context, clocks: Clocks): Promise<void> =>
  untilStopped(context, LOOK_MS, clocks.look, ({ code, message }) =>
    context.log.warn({ code }, `the clocks could not be compared: ${message}`),
  );
