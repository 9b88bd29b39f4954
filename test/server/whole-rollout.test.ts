/** Whole rollouts against the real server, with a clock of their own: a small fleet from the first host to the last. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { seeded } from '../../src/rollout/dice.ts';
import type { ServerLimits } from '../../src/rollout/document.ts';
import { ledgerFrom } from '../../src/server/fleet/machines.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { CheckInLine } from '../support/check-in-line.ts';
import { startFleetApp } from '../support/fleet-app.ts';
import { START, virtualChannel } from '../support/virtual-channel.ts';
import { keptOf, type WholeRollout, wholeRollout } from '../support/whole-rollout.ts';

const HOSTS = 200;
const IN_FLIGHT = 15;

async function play(failures: number): Promise<WholeRollout> {
  await using folder = await temporaryFolder();
  await using store = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  let now = START;
  const limits: ServerLimits = { maxInFlight: IN_FLIGHT, maxFailures: failures, patienceMs: 1e9 };
  const channel = virtualChannel(limits);
  await using app = await startFleetApp({ store, channel, now: () => new Date(now) });
  const lines = Array.from({ length: 4 }, () => new CheckInLine(Number(new URL(app.url).port)));
  const server = {
    lines,
    setClock: async (time: number): Promise<void> => {
      now = time;
    },
    kept: async () => keptOf(ledgerFrom(await store.read({ kind: 'ledger', id: `stable/${channel.id}` }))),
  };
  try {
    const fleet = { hosts: HOSTS, poll: 10, install: 5, failureRate: 0.1, inFlight: IN_FLIGHT };
    return await wholeRollout(fleet, server, seeded(1), START);
  } finally {
    for (const line of lines) line.close();
  }
}

test('a rollout within its budget reaches every host, and never more are under way than may be', async () => {
  const { last, mostKept, mostUnderWay, braked } = await play(HOSTS);
  assert.equal(braked, undefined);
  assert.deepEqual([last.inFlight, last.updated + last.failed], [0, HOSTS]);
  assert.ok(last.failed > 5);
  assert.deepEqual([mostKept, mostUnderWay], [IN_FLIGHT, IN_FLIGHT], 'it goes as fast as it may');
});

test('the brake pulls with the first failure above the budget, and then nobody begins', async () => {
  const { last, mostUnderWay, braked, begunAfterBrake } = await play(3);
  assert.equal(braked?.reason, '4 hosts failed, 3 allowed');
  assert.ok(last.failed <= 4 + IN_FLIGHT, 'only who was under way may fail after it');
  assert.equal(begunAfterBrake, 0);
  assert.deepEqual([last.braked, last.inFlight, mostUnderWay], [braked.reason, 0, IN_FLIGHT]);
  assert.ok(last.updated + last.failed < HOSTS / 2, 'most were spared');
});
