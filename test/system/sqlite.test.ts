/** The database of a fleet server on a disk that misbehaves. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { asUpdateError, type ErrorCode } from '../../src/errors.ts';
import { type Database, openDatabase } from '../../src/system/sqlite.ts';
import { temporaryFolder } from '../support/bundles.ts';

const codeOf = (deed: () => unknown): ErrorCode | 'none' => {
  try {
    deed();
    return 'none';
  } catch (error) {
    return asUpdateError(error).code;
  }
};
const messageOf = (deed: () => unknown): string => {
  try {
    deed();
    return '';
  } catch (error) {
    return asUpdateError(error).message;
  }
};

const openTable = (path: string): Database => {
  const database = openDatabase(path);
  database.run('CREATE TABLE IF NOT EXISTS t (x TEXT)');
  return database;
};
const add = (database: Database, size: number): void =>
  database.transaction(() => database.run('INSERT INTO t VALUES (?)', 'x'.repeat(size)));

test('a full disk has a name, ends its transaction, and is forgotten once there is room', async () => {
  await using folder = await temporaryFolder();
  const disk = join(folder.path, 'disk');
  mkdirSync(disk);
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'disk', disk]).status, 0);
  try {
    using database = openTable(join(disk, 'fleet.db'));
    add(database, 10);
    const filler = openSync(join(disk, 'filler'), 'w');
    for (let size = 65_536; size >= 1; )
      try {
        writeSync(filler, Buffer.alloc(size));
      } catch {
        size = Math.floor(size / 2);
      }
    closeSync(filler);
    for (let tries = 0; tries < 3; tries += 1)
      assert.equal(
        codeOf(() => add(database, 200_000)),
        'store-full',
      );
    assert.match(
      messageOf(() => add(database, 200_000)),
      /disk\/fleet\.db: there is no space left/,
    );
    assert.equal(database.rows('SELECT count(*) AS n FROM t')[0]?.['n'], 1);
    rmSync(join(disk, 'filler'));
    add(database, 10);
    assert.equal(database.rows('SELECT count(*) AS n FROM t')[0]?.['n'], 2);
  } finally {
    spawnSync('umount', [disk]);
  }
});

test('what is no database, a damaged one, a folder, a path that leads nowhere: each by name and path', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  writeFileSync(
    at('noise.db'),
    'this is not a database, and longer than a header of a hundred bytes has to be '.repeat(4),
  );
  mkdirSync(at('folder.db'));
  const damaged = openTable(at('damaged.db'));
  for (let row = 0; row < 200; row += 1) add(damaged, 1000);
  damaged[Symbol.dispose]();
  truncateSync(at('damaged.db'), 8192);
  const expected: Readonly<Record<string, ErrorCode>> = {
    'noise.db': 'store-damaged',
    'folder.db': 'store-unwritable',
    'nowhere/fleet.db': 'store-unwritable',
    'damaged.db': 'store-damaged',
  };
  for (const [name, code] of Object.entries(expected)) {
    const use = (): void => {
      using database = openTable(at(name));
      database.rows('SELECT x FROM t');
    };
    assert.equal(codeOf(use), code, name);
    assert.ok(messageOf(use).startsWith(at(name)), messageOf(use));
  }
});

test('a second server is refused while it opens the store, before it has shown anything', async () => {
  await using folder = await temporaryFolder();
  using _first = openDatabase(join(folder.path, 'fleet.db'));
  assert.equal(
    codeOf(() => openDatabase(join(folder.path, 'fleet.db'))),
    'store-in-use',
  );
});
