/** A store that is full or partly damaged: what is well goes on, the rest has a name. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/server/access/tokens.ts';
import { createCensus } from '../../src/server/fleet/census.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { checkInOf } from '../support/check-in-line.ts';
import { startFleetApp } from '../support/fleet-app.ts';
import { START, virtualChannel } from '../support/virtual-channel.ts';

const OPERATOR = { authorization: 'Bearer of-an-operator' };

/** A server with ten machines, and its database. */
async function site(path = ':memory:') {
  const database = openDatabase(path, { durable: false });
  const store = sqliteStore(database);
  const channel = virtualChannel({ maxInFlight: 5, maxFailures: 5, patienceMs: 1e9 });
  const now = () => new Date(START + 3_600_000);
  const server = await startFleetApp({ store, channel, now, tokens: { operator: digestOf('of-an-operator') } });
  const ask = async (host: number, change: Parameters<typeof checkInOf>[1] = {}) => {
    const answer = await server.app.inject({ method: 'POST', url: '/v1/check-in', payload: checkInOf(host, change) });
    return { status: answer.statusCode, again: answer.headers['retry-after'], ...answer.json<{ code?: string }>() };
  };
  for (let host = 0; host < 10; host++) await ask(host);
  const machines = async () => {
    const { documents } = (await server.app.inject({ url: '/v1/machines', headers: OPERATOR })).json<{
      documents: unknown[];
    }>();
    return documents.length;
  };
  const dispose = async () => {
    await server[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  };
  return { database, store, server, ask, machines, [Symbol.asyncDispose]: dispose };
}

const BROKEN = ['{"half', 'null', '[]', '7', '{}', '{"running":null}', '{"running":{"version":1},"events":[]}'];

for (const json of BROKEN)
  test(`a machine of which ${json} is kept costs no other machine anything, and is known again with its next check-in`, async () => {
    await using at = await site();
    const { machine } = checkInOf(3);
    at.database.run('UPDATE documents SET json = ? WHERE kind = ? AND id = ?', json, 'machine', machine);
    assert.equal(await at.machines(), 9);
    const census = createCensus(at.store, { now: () => new Date(), pause: async () => {} });
    assert.equal((await census.latest()).machines, 9);
    assert.equal((await at.server.app.inject({ url: `/v1/machines/${machine}`, headers: OPERATOR })).statusCode, 404);
    assert.equal((await at.ask(3, { wants: checkInOf(3).running.version })).status, 200);
    assert.equal(await at.machines(), 10);
  });

test('a page of machines that cannot be read is not the last one', async () => {
  await using at = await site();
  at.database.run('UPDATE documents SET json = ? WHERE kind = ? AND id < ?', '{', 'machine', checkInOf(5).machine);
  const { documents, next } = await at.store.list('machine', 4);
  assert.deepEqual([documents.length, next], [0, checkInOf(3).machine]);
  assert.equal((await at.store.list('machine', 100, next)).documents.length, 5);
});

test('what is not made anew by itself is named and left alone', async () => {
  await using at = await site();
  await at.ask(1, { wants: '2.0' as never });
  at.database.run('UPDATE documents SET json = ? WHERE kind = ?', '{"inFlight', 'ledger');
  const answer = await at.ask(2, { wants: '2.0' as never });
  assert.deepEqual([answer.status, answer.code], [503, 'store-document-invalid']);
  assert.equal((await at.ask(2)).status, 200, 'who only reports is heard');
  assert.equal(at.database.rows('SELECT json FROM documents WHERE kind = ?', 'ledger')[0]?.['json'], '{"inFlight');
});

test('on a full disk hosts are told to ask again, and are answered once there is room', async () => {
  assert.equal(process.getuid?.(), 0, 'this test mounts a tmpfs and must run as root');
  const mount = mkdtempSync(join(tmpdir(), 'tandem-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', mount]);
  try {
    await using at = await site(join(mount, 'fleet.db'));
    const reason = 'x'.repeat(400);
    const outcome = { at: '2030-01-01T00:00:00Z', result: 'failed', version: '9.9', reason } as never;
    let refused: Awaited<ReturnType<typeof at.ask>> | undefined;
    for (let host = 100; !refused && host < 3000; host++) {
      const answer = await at.ask(host, { outcome });
      if (answer.status !== 200) refused = answer;
    }
    assert.deepEqual([refused?.status, refused?.code], [503, 'store-full']);
    assert.ok(Number(refused?.again) > 0);
    for (let times = 0; times < 5; times++) assert.equal((await at.ask(5000, { outcome })).code, 'store-full');
    execFileSync('mount', ['-o', 'remount,size=4m', mount]);
    assert.equal((await at.ask(5000)).status, 200);
    writeFileSync(join(mount, 'room'), 'x');
  } finally {
    execFileSync('umount', [mount]);
    rmSync(mount, { recursive: true });
  }
});
