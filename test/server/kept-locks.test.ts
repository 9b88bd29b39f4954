/** The locks on rebooting as they lie in the store: who holds them, since when and why, and when nothing is kept. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRebootLocks, type LockDefaults } from '../../src/server/fleet/reboot-locks.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import type { Json } from '../../src/server/store/store.ts';
import { openDatabase } from '../../src/system/sqlite.ts';

const at = (second: number): Date => new Date(Date.UTC(2030, 0, 1, 0, 0, second));

function bench(defaults: Partial<LockDefaults> = {}) {
  const store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const locks = createRebootLocks(store, { max: 1, maxFailures: 0, deadlineSeconds: 60, ...defaults });
  const put = (kind: string, id: string, document: Json): Promise<void> =>
    store.update([{ kind, id }], () => ({ write: [document], result: undefined }));
  const held = async (group = 'web', second = 0) =>
    (await locks.show(group, at(second))).holders.map(({ id, since, why, late }) => ({ id, since, why, late }));
  return { store, locks, put, held, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

/** The id of a machine, as it checks in. */
const MACHINE = 'a'.repeat(32);
const RECORD: Json = {
  ...{ machine: MACHINE, product: 'shop', group: 'web', channel: 'stable', state: 'staged' },
  running: { version: '1.0' },
  ...{ since: '', firstSeen: '', lastSeen: '' },
  events: [],
};

test('a holder is shown with what the server knows of it, and one that never checked in with nothing', async () => {
  await using own = bench({ max: 2 });
  await own.put('machine', MACHINE, RECORD);
  for (const id of [MACHINE, 'bb']) assert.equal(await own.locks.take('web', id, at(0)), undefined);
  const shared = { since: at(0).toISOString(), late: false };
  assert.deepEqual(await own.held(), [
    { id: MACHINE, why: 'shop 1.0, staged', ...shared },
    { id: 'bb', why: 'a reboot', ...shared },
  ]);
});

test('a place that is taken stays taken by its holder, who may ask again, until it gives it back', async () => {
  await using own = bench();
  assert.equal(await own.locks.take('web', 'aa', at(0)), undefined);
  assert.equal(await own.locks.take('web', 'aa', at(5)), undefined);
  assert.ok(await own.locks.take('web', 'bb', at(5)));
  assert.deepEqual(
    (await own.held()).map(({ id }) => id),
    ['aa'],
  );
  await own.locks.giveBack('web', 'bb');
  assert.equal((await own.held()).length, 1);
  await own.locks.giveBack('web', 'aa');
  assert.equal(await own.locks.take('web', 'bb', at(6)), undefined);
});

test('a holder is late after its deadline, and not at it', async () => {
  await using own = bench();
  await own.locks.take('web', 'aa', at(0));
  const late = async (second: number) => (await own.held('web', second)).map((one) => one.late);
  assert.deepEqual([await late(60), await late(61)], [[false], [true]]);
});

test('a group that says nothing is not kept: neither one that was refused, nor one that is as all groups begin', async () => {
  await using own = bench();
  const kept = () => own.store.count('lock');
  await own.locks.giveBack('web', 'aa');
  assert.equal(await own.locks.release('web', 'aa'), false);
  assert.equal(await kept(), 0);
  await own.locks.take('web', 'aa', at(0));
  assert.equal(await kept(), 1);
  assert.equal(await own.locks.release('web', 'aa'), true);
  assert.equal(await own.locks.release('web', 'aa'), false);
  await own.locks.take('web', 'bb', at(0));
  await own.locks.giveBack('web', 'bb');
  await own.locks.setMax('web', 1);
  assert.equal(await kept(), 0);
  await own.locks.setMax('web', 3);
  assert.equal(await kept(), 1);
  assert.deepEqual(
    (await own.locks.all(9, at(0))).locks.map(({ group, max, free }) => [group, max, free]),
    [['web', 3, 3]],
  );
});

test('where there are fewer places than holders none is free, and one that has gone frees none', async () => {
  await using own = bench({ max: 3 });
  for (const id of ['aa', 'bb', 'cc']) await own.locks.take('web', id, at(0));
  await own.locks.setMax('web', 1, 2);
  const { max, maxFailures, free, holders } = await own.locks.show('web', at(0));
  assert.deepEqual([max, maxFailures, free, holders.length], [1, 2, 0, 3]);
  await own.locks.giveBack('web', 'aa');
  assert.equal((await own.locks.show('web', at(0))).free, 0);
  assert.ok(await own.locks.take('web', 'aa', at(0)));
  assert.deepEqual((await own.locks.show('other', at(0))).free, 3);
});
