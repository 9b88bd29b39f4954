/** Stores that earlier versions have left, and what is in them; `test/golden/fleet-store/make.ts` made them. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createAccess } from '../../src/server/access/access.ts';
import { lastEntries } from '../../src/server/fleet/audit.ts';
import { createCensus } from '../../src/server/fleet/census.ts';
import { createFleet } from '../../src/server/fleet/fleet.ts';
import { createRebootLocks } from '../../src/server/fleet/reboot-locks.ts';
import type { Store } from '../../src/server/store/store.ts';
import { checkInOf } from './check-in-line.ts';
import { START, virtualChannel } from './virtual-channel.ts';

/** Of da64824, before stores had a number. */
const FOLDER = join(import.meta.dirname, '../golden/fleet-store');
export const OLD_SQLITE = join(FOLDER, 'fleet-0.db');
export const OLD_ETCD = join(FOLDER, 'etcd-0.json');

/** Everything is known that was, and the fleet goes on from there. */
export async function goesOn(store: Store): Promise<void> {
  const now = new Date(START + 120_000);
  const channel = virtualChannel({ maxInFlight: 2, maxFailures: 1, patienceMs: 3_600_000 });
  const fleet = createFleet(store, async () => channel);
  const access = createAccess({ store, now: () => now, secret: () => 'another' });
  assert.deepEqual(
    (await access.all()).map(({ name }) => name),
    ['operator', 'hosts', 'grafana'],
  );
  assert.deepEqual(await access.holderOf('secret-of-the-golden-store-1'), { name: 'operator', role: 'operator' });
  const { documents } = await fleet.machines(10);
  assert.equal(documents.length, 5);
  const { inFlight, failed, braked } = await fleet.ledger('stable', now);
  assert.deepEqual([inFlight.size, failed.size, braked?.reason], [1, 1, 'paused by an operator: disks fail']);
  assert.equal((await createCensus(store, { now: () => now, pause: async () => {} }).last())?.machines, 5);
  const locks = createRebootLocks(store, { max: 1, maxFailures: 0, deadlineSeconds: 3600 });
  assert.equal((await locks.show('web', now)).holders.length, 1);
  assert.equal((await locks.take('web', 'f'.repeat(32), now))?.code, 'lock-full');
  assert.equal((await lastEntries(store, 10)).length, 2);
  await fleet.releaseBrake('stable');
  const asks = { wants: '2.0' as never };
  assert.deepEqual(await fleet.checkIn(checkInOf(1, asks), now), { schema: 1, go: true });
  assert.equal((await fleet.machine(checkInOf(1).machine))?.firstSeen, new Date(START + 60_000).toISOString());
}
