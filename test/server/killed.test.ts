/** A server that is killed again and again in the middle of a rollout: nothing it has answered is lost, and no limit is passed. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import type { Store } from '../../src/server/store/store.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { FleetDrill, lostPromises, tally } from '../support/fleet-drill.ts';
import { rollingOut } from '../support/rollout-site.ts';
import { ServerProcess } from '../support/server-process.ts';

const HOSTS = 80;
const IN_FLIGHT = 12;
const AT_ONCE = 5;
const KILLS = [60, 150, 260, 400, 480];

test('kill -9 in the middle of check-ins, reports and locks: what was answered is kept, and the limits hold', async (t) => {
  using repository = await rollingOut({ inFlight: IN_FLIGHT, failures: 50 });
  const state = join(repository.top, 'state');
  await using server = await ServerProcess.start([
    ...['--repository', repository.dir, '--state', state, '--lock-max', String(AT_ONCE)],
  ]);
  const look = async <T>(at: (store: Store) => Promise<T>): Promise<T> => {
    await using store = sqliteStore(openDatabase(join(state, 'fleet.db')));
    return await at(store);
  };
  const lost: string[] = [];
  const killed: Promise<void>[] = [];
  const killAndStart = async (): Promise<void> => {
    await server.kill();
    lost.push(...(await look((store) => lostPromises(drill, store))));
    await server.start();
  };
  const drill: FleetDrill = new FleetDrill({
    hosts: HOSTS,
    inFlight: IN_FLIGHT,
    atOnce: AT_ONCE,
    urls: [server.url],
    fails: (host) => host % 40 === 7,
    answered: (count) => {
      if (KILLS.includes(count)) killed.push(killAndStart().catch((error) => drill.stop(error)));
    },
  });
  await drill.run();
  await Promise.all(killed);
  await server.kill();
  t.diagnostic(
    `${HOSTS} hosts, ${drill.answers} answers, ${killed.length} kills, ${drill.unanswered} requests unanswered; at most ${drill.mostInFlight} under way and ${drill.mostHolding} with the lock`,
  );
  assert.equal(killed.length, KILLS.length);
  assert.ok(drill.unanswered > 0, 'no kill hit anything');
  assert.deepEqual([...lost, ...(await look((store) => lostPromises(drill, store)))], []);
  assert.ok(drill.mostInFlight > 1 && drill.mostHolding > 1);
  assert.deepEqual(await look(tally), { updated: [HOSTS - 2], failed: [2], inFlight: [0], holders: [] });
});
