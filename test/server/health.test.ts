/** What anybody may ask costs a constant, however large the fleet is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpdateError } from '../../src/errors.ts';
import { digestOf } from '../../src/server/access/tokens.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import type { Store } from '../../src/server/store/store.ts';
import { watchedStore } from '../../src/server/store/watched.ts';
import { silentLog } from '../../src/system/log.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { checkInOf } from '../support/check-in-line.ts';
import { startFleetApp } from '../support/fleet-app.ts';
import { TestFleet } from './pages/fleet.ts';

/** A fleet whose store counts what it is asked. */
async function counted(): Promise<TestFleet & { asked: string[] }> {
  const site = Object.assign(new TestFleet(), { asked: [] as string[] });
  for (const verb of ['read', 'list', 'count', 'update'] as const) {
    const real = site.store[verb].bind(site.store) as (...args: unknown[]) => unknown;
    Object.assign(site.store, {
      [verb]: (...args: unknown[]) => {
        site.asked.push(verb);
        return real(...args);
      },
    } satisfies Partial<Record<keyof Store, unknown>>);
  }
  await site.start();
  site.asked.length = 0;
  return site;
}

test('however often its health is asked for, the store is asked for one document a second', async () => {
  await using site = await counted();
  const ask = async () => (await site.app.inject('/healthz')).json() as unknown;
  for (let times = 0; times < 50; times++) assert.deepEqual(await ask(), { ok: true });
  assert.deepEqual(site.asked, ['update']);
  for (let second = 0; second < 60; second++) {
    site.now = new Date(site.now.getTime() + 1000);
    for (let times = 0; times < 3; times++) await ask();
  }
  assert.equal(site.asked.length, 61);
  assert.equal(site.asked.filter((verb) => verb === 'update').length, 3, 'twice a minute it is written to');
});

test('while check-ins are refused the server is not healthy, and it is again with the first that is not', async () => {
  let now = Date.parse('2030-01-01T00:00:00Z');
  await using real = sqliteStore(openDatabase(':memory:', { durable: false }));
  let fault: 'store-full' | 'etcd-full' | undefined;
  const full: Store = {
    ...real,
    update: (keys, change) => (fault ? Promise.reject(new UpdateError(fault)) : real.update(keys, change)),
  };
  const store = watchedStore(full, silentLog, () => new Date(now));
  await using server = await startFleetApp({ store, now: () => new Date(now), lastWrite: store.lastWrite });
  const both = async () => {
    now += 1000;
    const checkIn = await server.app.inject({ method: 'POST', url: '/v1/check-in', payload: checkInOf(1) });
    return [checkIn.statusCode, (await server.app.inject('/healthz')).statusCode];
  };
  assert.deepEqual(await both(), [200, 200]);
  for (const code of ['store-full', 'etcd-full'] as const) {
    fault = code;
    for (let times = 0; times < 3; times++) assert.deepEqual(await both(), [503, 503]);
    fault = undefined;
    assert.deepEqual(await both(), [200, 200]);
  }
  fault = 'etcd-full';
  now += 1000;
  await both();
  fault = undefined;
  now += 1000;
  assert.equal((await server.app.inject('/healthz')).statusCode, 200, 'it sees by itself that it is over');
});

test('a server that cannot tell hosts from others is not healthy', async () => {
  await using site = new TestFleet();
  site.tokens = { ...site.tokens, machine: digestOf('of-a-machine') };
  await site.start();
  assert.equal((await site.app.inject('/healthz')).statusCode, 200);
  await site.put('access', [['tokens', { schema: 1, tokens: 'none' }]]);
  site.now = new Date(site.now.getTime() + 6000);
  assert.equal((await site.app.inject('/healthz')).statusCode, 503);
});

test('a server whose store is away is not healthy, and is again once it is back', async () => {
  await using site = await counted();
  const { read, update } = site.store;
  const away = () => Promise.reject(new UpdateError('etcd-unavailable'));
  Object.assign(site.store, { read: away, update: away });
  assert.equal((await site.app.inject('/healthz')).statusCode, 503);
  Object.assign(site.store, { read, update });
  site.now = new Date(site.now.getTime() + 1000);
  assert.equal((await site.app.inject('/healthz')).statusCode, 200);
});

test('what needs no token lists and counts nothing', async () => {
  await using site = await counted();
  for (const url of [
    '/healthz',
    '/openapi.json',
    '/sign-in',
    '/',
    '/nothing',
    '/metrics',
    '/v1/machines',
    '/targets/none',
  ])
    await site.app.inject(url);
  assert.deepEqual(
    site.asked.filter((verb) => verb === 'list' || verb === 'count'),
    [],
  );
});
