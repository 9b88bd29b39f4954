/**
 * Makes the stores beside it, with the code of whatever commit it lies in: `node make.ts FOLDER [http://etcd:2379]`. Copied into a worktree of an
 * earlier commit, it makes the stores that commit would have left.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAccess } from '../../../src/server/access/access.ts';
import { digestOf } from '../../../src/server/access/tokens.ts';
import { createCensus } from '../../../src/server/fleet/census.ts';
import { createFleet } from '../../../src/server/fleet/fleet.ts';
import { createRebootLocks } from '../../../src/server/fleet/reboot-locks.ts';
import { etcdStore } from '../../../src/server/store/etcd.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import type { Store } from '../../../src/server/store/store.ts';
import { realClock } from '../../../src/system/clock.ts';
import { realRandom } from '../../../src/system/random.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { checkInOf } from '../../support/check-in-line.ts';
import { testHttp } from '../../support/http-client.ts';
import { etcdOf } from '../../support/lock-hosts.ts';
import { START, virtualChannel } from '../../support/virtual-channel.ts';

const PREFIX = 'tandem/fleet/v1';
const [folder = '.', etcd] = process.argv.slice(2);

/** Hosts that run, wait, are under way and have failed; a lock that is held, a token that was added, and a brake pulled by hand. */
async function live(store: Store): Promise<void> {
  const now = new Date(START + 60_000);
  let made = 0;
  const access = createAccess({ store, now: () => now, secret: () => `secret-of-the-golden-store-${++made}` });
  await access.begin({ renew: false });
  await access.add(
    { name: 'grafana', role: 'viewer' },
    { at: now.toISOString(), what: 'token-added', who: 'operator', from: '192.0.2.1' },
  );
  const fleet = createFleet(store, async () =>
    virtualChannel({ maxInFlight: 2, maxFailures: 1, patienceMs: 3_600_000 }),
  );
  for (let host = 0; host < 5; host++) await fleet.checkIn(checkInOf(host, { wants: '2.0' as never }), now);
  const outcome = {
    at: now.toISOString(),
    result: 'failed',
    version: '2.0',
    code: 'probe-failed',
    reason: 'refused',
  } as never;
  await fleet.checkIn(checkInOf(0, { outcome }), now);
  await fleet.pullBrake('stable', 'paused by an operator: disks fail', now);
  const locks = createRebootLocks(store, { max: 1, maxFailures: 0, deadlineSeconds: 3600 });
  await locks.take('web', digestOf('a host').slice(0, 32), now);
  await createCensus(store, { now: () => now, pause: async () => {} }).keep();
  await store[Symbol.asyncDispose]();
}

if (etcd === undefined) await live(sqliteStore(openDatabase(join(folder, 'fleet.db'))));
else {
  const client = etcdOf({ endpoints: [etcd], http: testHttp(), timeoutMs: 5000 });
  await live(etcdStore({ etcd: client, prefix: PREFIX, clock: realClock, random: realRandom }));
  const { ranges } = await client.txn({ ops: [{ range: `${PREFIX}/`, before: `${PREFIX}0`, limit: 1000 }] });
  const pairs = (ranges[0]?.pairs ?? []).map(({ key, value }) => [key, Buffer.from(value).toString()]);
  writeFileSync(join(folder, 'etcd.json'), `${JSON.stringify(pairs, null, 1)}\n`);
}
