/** A store says what form it has: an older one is brought to the present one at once or not at all, and a newer one is left alone. */

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import { type Json, SCHEMA, type Store } from '../../../src/server/store/store.ts';
import { type Database, openDatabase } from '../../../src/system/sqlite.ts';
import { temporaryFolder } from '../../support/bundles.ts';
import { checkInOf } from '../../support/check-in-line.ts';
import { refusalOf } from '../../support/command-line.ts';
import { startFleetApp } from '../../support/fleet-app.ts';
import { goesOn, OLD_SQLITE } from '../../support/golden-store.ts';
import { ServerProcess } from '../../support/server-process.ts';
import { TestRepository } from '../../support/tuf-repository.ts';

/** A copy of the store that an earlier version left, changed by hand. */
async function oldStore(...statements: readonly string[]) {
  const folder = await temporaryFolder();
  const path = join(folder.path, 'fleet.db');
  copyFileSync(OLD_SQLITE, path);
  if (statements.length > 0) {
    using database = openDatabase(path);
    for (const statement of statements) database.run(statement);
  }
  return { path, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const versionOf = (database: Database): unknown => database.rows('PRAGMA user_version')[0]?.['user_version'];

/** What is in the file, whatever form it has. */
function contentOf(path: string): unknown {
  using database = openDatabase(path);
  const rows = (of: string) => database.rows(of).map((row) => ({ ...row }));
  return [versionOf(database), rows('SELECT * FROM sqlite_schema'), rows('SELECT * FROM documents')];
}

test('a store without a number is of the first schema: nothing of it is lost, and from then on it says so', async () => {
  await using old = await oldStore();
  using database = openDatabase(old.path);
  assert.equal(versionOf(database), 0);
  await goesOn(sqliteStore(database));
  assert.equal(versionOf(database), SCHEMA);
  assert.equal(await sqliteStore(database).count('machine'), 5, 'and the next start finds it so');
});

test('a new store has the present schema', async () => {
  using database = openDatabase(':memory:', { durable: false });
  sqliteStore(database);
  assert.equal(versionOf(database), SCHEMA);
});

for (const version of [SCHEMA + 1, 99, 2 ** 31 - 1])
  test(`a store of schema ${version} is refused by name and left as it is`, async () => {
    await using newer = await oldStore('CREATE TABLE machines (id TEXT)', `PRAGMA user_version = ${version}`);
    const before = contentOf(newer.path);
    {
      using database = openDatabase(newer.path);
      assert.throws(() => sqliteStore(database), { code: 'store-newer', message: new RegExp(`fleet.db.* ${version}`) });
    }
    assert.deepEqual(contentOf(newer.path), before);
  });

test('a server does not start on a store of a newer version, and says what to do', async () => {
  using repository = await new TestRepository().init();
  await using newer = await oldStore('PRAGMA user_version = 99');
  const state = newer.path.replace(/\/fleet\.db$/, '');
  await assert.rejects(
    ServerProcess.start(['--repository', repository.dir, '--state', state]),
    /schema 99.*\[store-newer\]/s,
  );
});

const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  'whose number is below zero': ['PRAGMA user_version = -1'],
  'whose table has other columns': ['DROP TABLE documents', 'CREATE TABLE documents (a TEXT, b TEXT)'],
  'whose table has another key': ['DROP TABLE documents', 'CREATE TABLE documents (kind TEXT, id TEXT, json TEXT)'],
  'whose table asks for more than we have': [
    'DROP TABLE documents',
    'CREATE TABLE documents (kind TEXT, id TEXT, json TEXT NOT NULL, size INT NOT NULL, PRIMARY KEY (kind, id))',
  ],
};

for (const [what, statements] of Object.entries(FOREIGN))
  test(`a database ${what} is refused and left as it is`, async () => {
    await using foreign = await oldStore(...statements);
    const before = contentOf(foreign.path);
    {
      using database = openDatabase(foreign.path);
      assert.throws(() => sqliteStore(database), { code: 'store-foreign' });
    }
    assert.deepEqual(contentOf(foreign.path), before);
  });

test('a column that somebody has added does no harm', async () => {
  await using wider = await oldStore(
    'ALTER TABLE documents ADD COLUMN size INTEGER',
    'ALTER TABLE documents ADD COLUMN note TEXT NOT NULL DEFAULT ""',
  );
  using database = openDatabase(wider.path);
  const store = sqliteStore(database);
  await goesOn(store);
  await using server = await startFleetApp({ store });
  const answer = await server.app.inject({ method: 'POST', url: '/v1/check-in', payload: checkInOf(77) });
  assert.equal(answer.statusCode, 200);
});

const put = (store: Store, kind: string, id: string, document: Json): Promise<void> =>
  store.update([{ kind, id }], () => ({ write: [document], result: undefined }));

test('a document of a newer schema is named and left alone, and keeps no other from being seen', async () => {
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  await using server = await startFleetApp({ store });
  const ask = async (host: number) => {
    const answer = await server.app.inject({ method: 'POST', url: '/v1/check-in', payload: checkInOf(host) });
    return [answer.statusCode, answer.json<{ code?: string }>().code];
  };
  const newer = { schema: 2, anything: true };
  const { machine } = checkInOf(1);
  await put(store, 'machine', machine, newer);
  assert.deepEqual(await ask(1), [503, 'store-document-newer']);
  assert.deepEqual(await ask(2), [200, undefined]);
  assert.equal(await refusalOf(store.read({ kind: 'machine', id: machine })), 'store-document-newer');
  assert.equal((await store.list('machine', 10)).documents.length, 1);
  await put(store, 'access', 'tokens', newer);
  assert.equal(await refusalOf(store.read({ kind: 'access', id: 'tokens' })), 'store-document-newer');
});

test('the golden store is what a version before numbers has left', () => {
  // In its header: https://sqlite.org/fileformat.html#user_version_number
  assert.equal(readFileSync(OLD_SQLITE).readInt32BE(60), 0);
});
