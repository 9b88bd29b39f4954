/** The store in a SQLite file keeps what all stores promise, and loses nothing when its process is killed. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import type { Json } from '../../../src/server/store/store.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { temporaryFolder } from '../../support/bundles.ts';
import { type StoreBench, storeContract } from '../store-contract.ts';

storeContract('sqlite', async (): Promise<StoreBench> => {
  const folder = await temporaryFolder();
  return {
    open: async () => sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false })),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
});

test('a server that is killed in the middle has kept everything that it has answered', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'fleet.db');
  const writer = spawn(process.execPath, [join(import.meta.dirname, '../../support/store-writer.ts'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let answered = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    answered = Math.max(answered, Number(line));
    if (answered > 500) writer.kill('SIGKILL');
  }
  if (writer.signalCode === null) await once(writer, 'exit');
  assert.equal(writer.signalCode, 'SIGKILL');
  await using store = sqliteStore(openDatabase(path));
  assert.ok(Number(await store.read({ kind: 'counter', id: 'a' })) >= answered);
});

test('an update that cannot be kept does not keep those from it that come at the same time', async () => {
  await using folder = await temporaryFolder();
  await using store = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  const key = (id: string) => ({ kind: 'counter', id });
  const add = ([document]: readonly (Json | undefined)[]) => ({ write: [Number(document ?? 0) + 1], result: true });
  const notJson = () => ({ write: [1n as unknown as Json], result: true });
  const [one, bad, other] = await Promise.allSettled([
    store.update([key('a')], add),
    store.update([key('b')], notJson),
    store.update([key('a')], add),
  ]);
  assert.deepEqual([one.status, bad.status, other.status], ['fulfilled', 'rejected', 'fulfilled']);
  assert.deepEqual([await store.read(key('a')), await store.read(key('b'))], [2, undefined]);
});
