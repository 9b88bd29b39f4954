/** What anybody may ask costs a constant, however large the fleet is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpdateError } from '../../src/errors.ts';
import type { Store } from '../../src/server/store.ts';
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
  assert.deepEqual(site.asked, ['read']);
  site.now = new Date(site.now.getTime() + 1000);
  await ask();
  assert.deepEqual(site.asked, ['read', 'read']);
});

test('a server whose store is away is not healthy, and is again once it is back', async () => {
  await using site = await counted();
  const { read } = site.store;
  Object.assign(site.store, { read: () => Promise.reject(new UpdateError('etcd-unavailable')) });
  assert.equal((await site.app.inject('/healthz')).statusCode, 503);
  Object.assign(site.store, { read });
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
