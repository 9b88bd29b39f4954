/** Check-ins against a real store: the limits of a rollout hold whoever asks and in whatever order. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CheckIn } from '../../../src/formats/check-in.ts';
import type { MachineId, Product, Version } from '../../../src/model.ts';
import type { Rollout } from '../../../src/rollout/rollout.ts';
import { type AuditEntry, lastEntries } from '../../../src/server/fleet/audit.ts';
import { type ChannelState, createFleet } from '../../../src/server/fleet/fleet.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { temporaryFolder } from '../../support/bundles.ts';

const MINUTE = 60_000;
const NOW = new Date('2030-01-01T00:00:00Z');
const later = (minutes: number): Date => new Date(NOW.getTime() + minutes * MINUTE);
const step = (counter: number) => ({ version: `${counter}.0` as Version, counter });
const policy: Rollout = {
  release: step(2),
  start: NOW.getTime(),
  canaries: { groups: ['lab'], soakMs: 60 * MINUTE },
  ramp: { durationMs: 0, steps: 0 },
  groups: new Map(),
  barriers: [],
  deadEnds: [],
  urgent: false,
  allowDowngrade: false,
};
const limits = { maxInFlight: 3, maxFailures: 2, patienceMs: 120 * MINUTE };

const checkIn = (machine: number, change: Partial<CheckIn> = {}): CheckIn => ({
  schema: 1,
  machine: machine.toString(16).padStart(32, '0') as MachineId,
  group: 'default',
  product: 'shop' as Product,
  channel: 'stable',
  agent: '0.1.0',
  running: step(1),
  confirmed: true,
  state: 'idle',
  since: '2029-12-31T00:00:00Z',
  ...change,
});
const wants = (machine: number, change: Partial<CheckIn> = {}) =>
  checkIn(machine, { wants: step(2).version, ...change });
const failed = (machine: number, at = 'x') =>
  checkIn(machine, { outcome: { at, result: 'rolled-back', version: step(2).version, reason: 'unhealthy' } });
const proven = (machine: number) => checkIn(machine, { running: step(2) });

async function site(state: ChannelState | undefined = { id: '2.0', version: '2.0', offered: { policy, limits } }) {
  const folder = await temporaryFolder();
  const store = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  const told: AuditEntry[] = [];
  const fleet = createFleet(
    store,
    async () => state,
    (entry) => void told.push(entry),
  );
  const ask = async (request: CheckIn, minutes = 100): Promise<string> => {
    const answer = await fleet.checkIn(request, later(minutes));
    return answer.go ? 'go' : answer.code;
  };
  const dispose = async (): Promise<void> => {
    await store[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  };
  return { fleet, store, told, ask, [Symbol.asyncDispose]: dispose };
}

test('of fifty hosts that ask at the same time, as many go as the limit lets, and each success lets another go', async () => {
  await using at = await site();
  const answers = await Promise.all(Array.from({ length: 50 }, (_, machine) => at.ask(wants(machine))));
  assert.deepEqual(
    [answers.filter((one) => one === 'go').length, answers.filter((one) => one === 'full').length],
    [3, 47],
  );
  const first = answers.indexOf('go');
  assert.equal(await at.ask(wants(first)), 'go', 'who has a place keeps it');
  await at.ask(proven(first));
  await at.ask(proven(first));
  const ledger = await at.fleet.ledger('stable', later(101));
  assert.deepEqual([ledger.inFlight.size, ledger.updated], [2, 1], 'told twice, counted once');
  assert.equal(await at.ask(wants(answers.indexOf('full'))), 'go');
});

test('the brake pulls when failures are over the budget, and only an operator releases it', async () => {
  await using at = await site();
  for (const machine of [1, 2, 3]) {
    await at.ask(wants(machine));
    await at.ask(failed(machine));
    await at.ask(failed(machine));
  }
  assert.equal(await at.ask(wants(4)), 'braked');
  assert.match((await at.fleet.ledger('stable', later(101))).braked?.reason ?? '', /3 hosts failed/);
  await at.fleet.releaseBrake('stable');
  assert.equal(await at.ask(wants(4)), 'go');
});

test('hosts that are not heard of again count as failures', async () => {
  await using at = await site();
  for (const machine of [1, 2, 3]) await at.ask(wants(machine));
  assert.ok((await at.fleet.ledger('stable', later(100 + 120))).braked);
  assert.deepEqual(
    at.told.map(({ reason }) => reason),
    ['3 hosts failed, 2 allowed'],
  );
});

test('a brake that failures pull leaves one entry in the audit log each time, however many fail at that moment', async () => {
  await using at = await site();
  const failThree = async (first: number, minutes: number): Promise<void> => {
    const machines = [first, first + 1, first + 2];
    for (const machine of machines) await at.ask(wants(machine), minutes);
    await Promise.all(machines.map((machine) => at.ask(failed(machine), minutes)));
  };
  await failThree(1, 100);
  await at.fleet.releaseBrake('stable');
  await failThree(11, 101);
  const entry = (minutes: number): AuditEntry => ({
    at: later(minutes).toISOString(),
    what: 'brake-pulled',
    who: 'the brake',
    from: 'this server',
    about: '2.0 in stable',
    reason: '3 hosts failed, 2 allowed',
  });
  assert.deepEqual(await lastEntries(at.store, 10), [entry(101), entry(100)]);
  assert.deepEqual(at.told, [entry(100), entry(101)]);
  await at.fleet.releaseBrake('stable');
  await at.fleet.pullBrake('stable', 'lunch', later(102));
  await at.ask(wants(20), 103);
  assert.equal(at.told.length, 2, 'an operator is no brake');
});

/** Hosts on 1.0 that must run 1.5 before 2.0. */
const barrier = { version: '1.5' as Version, counter: 1.5, reason: 'moves the state' };
const onTheWay = (maxFailures: number): ChannelState => ({
  id: '2.0',
  version: '2.0',
  offered: { policy: { ...policy, barriers: [barrier] }, limits: { ...limits, maxFailures, maxInFlight: 10 } },
});
const onBarrier = (machine: number, change: Partial<CheckIn> = {}) => checkIn(machine, { running: barrier, ...change });

test('hosts that fail on their way on from a barrier pull the brake, and nobody on the barrier begins after it', async () => {
  await using at = await site(onTheWay(0));
  for (const machine of [1, 2]) assert.equal(await at.ask(onBarrier(machine, { wants: step(2).version })), 'go');
  const { outcome } = failed(1);
  await at.ask(onBarrier(1, outcome ? { outcome } : {}));
  assert.match((await at.fleet.ledger('stable', later(101))).braked?.reason ?? '', /1 host failed/);
  assert.equal(await at.ask(onBarrier(3, { wants: step(2).version })), 'braked');
  assert.equal(await at.ask(onBarrier(2, { wants: step(2).version, state: 'staged' })), 'go', 'it is half way');
  assert.equal(await at.ask(wants(4, { wants: barrier.version })), 'braked');
});

test('a host that has run the barrier has its place again only when it asks for the release, and counts once', async () => {
  await using at = await site(onTheWay(3));
  assert.equal(await at.ask(wants(1)), 'not-on-offer');
  assert.equal(await at.ask(wants(1, { wants: barrier.version })), 'go');
  await at.ask(onBarrier(1));
  const between = await at.fleet.ledger('stable', later(100));
  assert.deepEqual([between.inFlight.size, between.failed.size, between.updated], [0, 0, 0]);
  assert.equal(await at.ask(onBarrier(1, { wants: step(2).version })), 'go');
  await at.ask(onBarrier(1, { wants: step(2).version, state: 'staged' }));
  assert.equal((await at.fleet.ledger('stable', later(100))).inFlight.size, 1, 'the barrier is behind it');
  await at.ask(proven(1));
  const after = await at.fleet.ledger('stable', later(100));
  assert.deepEqual([after.inFlight.size, after.failed.size, after.updated], [0, 0, 1]);
});

test('a group that is pinned is updated once it runs its own release', async () => {
  const pinned = { ...policy, groups: new Map([['till', { pin: { version: '1.5' as Version, counter: 1.5 } }]]) };
  await using at = await site({ id: '2.0', version: '2.0', offered: { policy: pinned, limits } });
  assert.equal(await at.ask(wants(1, { group: 'till', wants: barrier.version })), 'go');
  await at.ask(onBarrier(1, { group: 'till' }));
  const ledger = await at.fleet.ledger('stable', later(100 + 120));
  assert.deepEqual([ledger.inFlight.size, ledger.failed.size, ledger.updated], [0, 0, 1]);
});

test('a host that was let go and then wants nothing any more is not counted as failed', async () => {
  await using at = await site();
  assert.equal(await at.ask(wants(1)), 'go');
  await at.ask(checkIn(1));
  const ledger = await at.fleet.ledger('stable', later(100 + 120));
  assert.deepEqual([ledger.inFlight.size, ledger.failed.size], [0, 0]);
});

test('a host whose turn has not come is told when, and takes no place', async () => {
  await using at = await site();
  const answer = await at.fleet.checkIn(wants(1), later(5));
  assert.deepEqual(answer, {
    schema: 1,
    go: false,
    code: 'canaries-first',
    reason: 'the canaries (lab) go first',
    until: later(60).toISOString(),
  });
  assert.equal(await at.ask(wants(2, { group: 'lab' }), 5), 'go');
  assert.equal((await at.fleet.ledger('stable', later(5))).inFlight.size, 1);
});

test('a host that gave up before it tried anything gives its place back', async () => {
  await using at = await site();
  await at.ask(wants(1));
  await at.ask(checkIn(1, { outcome: { at: 'y', result: 'withdrawn', version: step(2).version } }));
  const ledger = await at.fleet.ledger('stable', later(100));
  assert.deepEqual([ledger.inFlight.size, ledger.failed.size], [0, 0]);
});

test('a release that is not the one on offer is not let through', async () => {
  await using at = await site();
  assert.equal(await at.ask(wants(1, { wants: '9.0' as Version })), 'not-on-offer');
});

test('without a rollout everybody may go, and the server still knows its machines and what they lived through', async () => {
  await using at = await site({ id: '2.0', version: '2.0' });
  assert.equal(await at.ask(wants(1)), 'go');
  await at.ask(failed(1, '2030-01-01T00:10:00.000Z'));
  await at.ask(proven(1));
  const known = await at.fleet.machine(checkIn(1).machine);
  assert.deepEqual(
    known?.events.map(({ what, version }) => [what, version]),
    [
      ['rolled-back', '2.0'],
      ['runs', '2.0'],
    ],
  );
  assert.equal(await at.fleet.count(), 1);
});
