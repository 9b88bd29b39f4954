/** An outage of the store is two lines in the log, and an answer with a name for everybody who asks meanwhile. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpdateError } from '../../src/errors.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import type { Store } from '../../src/server/store/store.ts';
import { watchedStore } from '../../src/server/store/watched.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { startFleetApp } from '../support/fleet-app.ts';

const CHECK_IN = {
  schema: 1,
  machine: '0123456789abcdef0123456789abcdef',
  group: 'default',
  product: 'acme',
  channel: 'stable',
  agent: '0.1.0',
  running: { version: '1.0' },
  confirmed: true,
  state: 'idle',
  since: '2029-12-31T00:00:00Z',
};

test('however many ask while the store is away, the log says once that it went and once that it is back', async () => {
  const lines: unknown[][] = [];
  const written = (level: string) => (fields: object, message: string) => void lines.push([level, fields, message]);
  const log = { ...silentLog, debug: () => {}, info: written('info'), error: written('error') } as unknown as Log;
  await using real = sqliteStore(openDatabase(':memory:', { durable: false }));
  let fault: UpdateError | undefined;
  const failing: Store = {
    ...real,
    read: (key) => (fault ? Promise.reject(fault) : real.read(key)),
    update: (keys, change) => (fault ? Promise.reject(fault) : real.update(keys, change)),
    count: (kind) => (fault ? Promise.reject(fault) : real.count(kind)),
  };
  let now = Date.parse('2030-01-01T00:00:00Z');
  const store = watchedStore(failing, log, () => new Date(now));
  await using server = await startFleetApp({ store, log, now: () => new Date(now) });
  const ask = async () => {
    const answer = await server.app.inject({ method: 'POST', url: '/v1/check-in', payload: CHECK_IN });
    return [answer.statusCode, answer.json().code];
  };
  assert.deepEqual(await ask(), [200, undefined]);
  fault = new UpdateError('etcd-unavailable');
  for (let one = 0; one < 30; one += 1) assert.deepEqual(await ask(), [503, 'etcd-unavailable']);
  now += 61_000;
  fault = new UpdateError('etcd-full');
  assert.deepEqual(await ask(), [503, 'etcd-full']);
  now += 30_000;
  fault = undefined;
  for (let one = 0; one < 3; one += 1) await ask();
  assert.deepEqual(
    lines.map(([level, fields]) => [level, fields]),
    [
      ['error', { code: 'etcd-unavailable' }],
      ['error', { code: 'etcd-full' }],
      ['info', { code: 'etcd-full', refused: 31, seconds: 61 }],
    ],
  );
  fault = new UpdateError('store-document-invalid', 'one document');
  for (let one = 0; one < 2; one += 1) assert.deepEqual(await ask(), [503, 'store-document-invalid']);
  assert.equal(lines.length, 4, 'what is wrong with one document is no outage, and is told once a minute');
  now += 60_000;
  await ask();
  assert.deepEqual(lines[4], [
    'error',
    { code: 'store-document-invalid', url: '/v1/check-in', unsaid: 1 },
    'one document',
  ]);
});

test('a store that can be read and not written is one outage, and not one with every read', async () => {
  const said: string[] = [];
  const log = {
    ...silentLog,
    info: (_: object, text: string) => void said.push(text),
    error: (_: object, text: string) => void said.push(text),
  };
  await using real = sqliteStore(openDatabase(':memory:', { durable: false }));
  let isFull = false;
  const full: Store = {
    ...real,
    update: (keys, change) => (isFull ? Promise.reject(new UpdateError('store-full')) : real.update(keys, change)),
  };
  let now = Date.parse('2030-01-01T00:00:00Z');
  await using server = await startFleetApp({
    store: watchedStore(full, log as unknown as Log, () => new Date(now)),
    log: log as unknown as Log,
  });
  const ask = () => server.app.inject({ method: 'POST', url: '/v1/check-in', payload: CHECK_IN });
  isFull = true;
  for (let times = 0; times < 20; times++) {
    const { statusCode, headers, json } = await ask();
    assert.deepEqual([statusCode, json<{ code: string }>().code], [503, 'store-full']);
    assert.ok(Number(headers['retry-after']) > 0);
  }
  assert.equal(said.length, 1);
  isFull = false;
  await ask();
  assert.equal(said.length, 1, 'it may go again at once');
  now += 30_000;
  await ask();
  assert.deepEqual(said.slice(1), ['the store answers again']);
});

test('a store that comes and goes, for one reason or another, is told of a few times a minute at most', async () => {
  const said: string[] = [];
  const log = {
    ...silentLog,
    info: (_: object, text: string) => void said.push(text),
    error: (_: object, text: string) => void said.push(text),
  } as unknown as Log;
  await using real = sqliteStore(openDatabase(':memory:', { durable: false }));
  const faults = [undefined, 'etcd-full', 'etcd-unavailable', undefined, 'etcd-refused'] as const;
  let turn = 0;
  const flapping: Store = {
    ...real,
    update: (keys, change) => {
      const fault = faults[turn++ % faults.length];
      return fault ? Promise.reject(new UpdateError(fault)) : real.update(keys, change);
    },
  };
  let now = Date.parse('2030-01-01T00:00:00Z');
  const store = watchedStore(flapping, log, () => new Date(now));
  const write = () => store.update([{ kind: 'a', id: 'b' }], () => ({ write: [1], result: 1 })).catch(() => undefined);
  for (let one = 0; one < 3000; one++, now += 20) await write();
  assert.ok(said.length >= 1 && said.length <= 3, said.join('; '));
  assert.doesNotMatch(said.join(), /answers again/);
});
