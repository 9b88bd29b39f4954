/** The fleet server as a process of its own whose clock bench/rollout.ts sets: its own web server over its own store, durable as ever. */

import { ledgerFrom } from '../src/server/fleet/machines.ts';
import { sqliteStore } from '../src/server/store/sqlite.ts';
import { openDatabase } from '../src/system/sqlite.ts';
import { startFleetApp } from '../test/support/fleet-app.ts';
import { START, virtualChannel } from '../test/support/virtual-channel.ts';
import { type Kept, keptOf } from '../test/support/whole-rollout.ts';

/** What the process is told, and answers with: its port, nothing, what it has kept. */
export type Told = Readonly<{ clock: number }> | 'kept';

const [path = '', maxInFlight, maxFailures] = process.argv.slice(2);
const channel = virtualChannel({
  maxInFlight: Number(maxInFlight),
  maxFailures: Number(maxFailures),
  patienceMs: 1e12,
});
let now = START;
await using store = sqliteStore(openDatabase(path));
await using app = await startFleetApp({ store, channel, now: () => new Date(now) });
process.on('message', (told: Told) => {
  if (told === 'kept') void kept().then((answer) => process.send?.(answer));
  else {
    now = told.clock;
    process.send?.(now);
  }
});
process.send?.(Number(new URL(app.url).port));
await new Promise((resolve) => process.once('disconnect', resolve));

async function kept(): Promise<Kept> {
  return keptOf(ledgerFrom(await store.read({ kind: 'ledger', id: `stable/${channel.id}` })));
}
