/** Machines that do not come back are forgotten, by hand and by age, and are welcome when they do. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { MachineId, Version } from '../../../src/model.ts';
import { lastEntries } from '../../../src/server/fleet/audit.ts';
import { createCensus } from '../../../src/server/fleet/census.ts';
import { createExpiry } from '../../../src/server/fleet/expiry.ts';
import { createFleet } from '../../../src/server/fleet/fleet.ts';
import { checkInOf } from '../../support/check-in-line.ts';
import { idOf, NOW, someMachine, TestFleet, TOKEN } from '../pages/fleet.ts';

const DAY = 24 * 3_600_000;
const OPERATOR = { authorization: `Bearer ${TOKEN}` };

let site: TestFleet;
let clock: { wall: number; ms: number };
before(async () => {
  site = await (await new TestFleet().fill(40)).start();
});
after(() => site[Symbol.asyncDispose]());
beforeEach(() => {
  clock = { wall: NOW.getTime(), ms: 0 };
});

const pass = (ms: number): void => {
  clock.wall += ms;
  clock.ms += ms;
};

/** As a server has it that was started now. */
function started(afterMs = 90 * DAY) {
  const now = () => new Date(clock.wall);
  const expiry = createExpiry(site.store, { afterMs, now, monotonicMs: () => clock.ms });
  const census = createCensus(site.store, { now, pause: async () => {}, expiry });
  const count = async () => {
    pass(5 * 60_000);
    await census.keep();
    return (await census.last())?.machines;
  };
  const fleet = createFleet(
    site.store,
    async (name) => site.channels.get(name),
    () => {},
    { ...expiry },
  );
  return { count, fleet };
}

/** All of the forty speak, but for so many. */
const speak = (silent: number) =>
  site.put(
    'machine',
    Array.from({ length: 40 - silent }, (_, at) => [
      idOf(at),
      { ...someMachine(at), lastSeen: new Date(clock.wall).toISOString() },
    ]),
  );

const kept = async (): Promise<number> => site.store.count('machine');

test('who has not been heard of for long is counted and listed no more, and in time is gone from the store', async () => {
  const { count, fleet } = started();
  assert.equal(await count(), 40);
  pass(91 * DAY);
  await speak(3);
  assert.equal(await count(), 37);
  assert.equal((await fleet.machines(1000)).documents.length, 37);
  pass(7 * 3_600_000);
  await speak(3);
  assert.equal(await count(), 37);
  assert.equal(await kept(), 37);
  const [entry] = await lastEntries(site.store, 1);
  assert.deepEqual(
    [entry?.what, entry?.who, entry?.about, entry?.reason],
    ['machine-forgotten', 'the server', '3 machines', 'no check-in for 90 days'],
  );
  await site.fill(40);
});

test('a server that was off for a year forgets nobody before it has listened for hours', async () => {
  pass(365 * DAY);
  const { count } = started();
  assert.equal(await count(), 0);
  assert.equal(await kept(), 40);
  pass(5 * 3_600_000);
  await count();
  assert.equal(await kept(), 40);
  await speak(1);
  pass(2 * 3_600_000);
  assert.equal(await count(), 39);
  assert.equal(await kept(), 39);
  await site.fill(40);
});

test('a clock that is set ahead by a year forgets nobody who still speaks', async () => {
  const { count } = started();
  pass(DAY);
  await count();
  clock.wall += 365 * DAY;
  await count();
  assert.equal(await kept(), 40);
  await speak(0);
  pass(7 * 3_600_000);
  await count();
  assert.equal(await kept(), 40);
  await site.fill(40);
});

test('an operator forgets a machine: it is gone, its place is free, its failure stays, and it may come again', async () => {
  const { machine } = checkInOf(900);
  const speaks = (secret: string) =>
    fetch(`${site.url}/v1/check-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'tandem-secret': secret.repeat(43), ...OPERATOR },
      body: JSON.stringify(checkInOf(900, { wants: '2.0.0' as Version, group: 'canary' })),
    });
  const forget = () => fetch(`${site.url}/v1/machines/${machine}`, { method: 'DELETE', headers: OPERATOR });
  assert.equal((await speaks('a')).status, 200);
  const ledger = { inFlight: [[machine, NOW.getTime() + DAY]], failed: [[idOf(4), 'broken']], updated: 1 };
  await site.put('ledger', [['stable/2.1.0 2030-01-01T12:00:00Z', ledger]]);
  assert.deepEqual(await (await forget()).json(), { schema: 1, forgotten: machine });
  assert.equal(await site.fleet.machine(machine), undefined);
  const after = await site.fleet.ledger('stable', NOW);
  assert.deepEqual([after.inFlight.has(machine as MachineId), after.failed.size], [false, 1]);
  const entry = (await lastEntries(site.store, 10)).find(({ about }) => about === machine);
  assert.deepEqual([entry?.what, entry?.who], ['machine-forgotten', 'operator']);
  const again = await forget();
  assert.deepEqual([again.status, ((await again.json()) as { code: string }).code], [404, 'machine-unknown']);
  assert.equal((await speaks('b')).status, 200, 'with the secret of a new installation');
});

test('a machine of which the store holds nonsense can be forgotten, too', async () => {
  const id = `${'0'.repeat(31)}d`;
  await site.put('machine', [[id, { running: 7 }]]);
  const answer = await fetch(`${site.url}/v1/machines/${id}`, { method: 'DELETE', headers: OPERATOR });
  assert.equal(answer.status, 200);
  assert.equal(await site.store.read({ kind: 'machine', id }), undefined);
});

test('who may only look forgets nobody', async () => {
  const viewer = { authorization: 'Bearer of-a-viewer' };
  for (const path of [idOf(1), `${idOf(1)}/secret`])
    assert.equal((await fetch(`${site.url}/v1/machines/${path}`, { method: 'DELETE', headers: viewer })).status, 403);
  assert.ok(await site.fleet.machine(idOf(1)));
});
