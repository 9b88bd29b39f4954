/** What the server keeps is for its own user alone. */

import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServerProcess } from '../../support/server-process.ts';
import { TestRepository } from '../../support/tuf-repository.ts';

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

/** The mode of the folder, then of every file of the database in it. */
const modesIn = (state: string): readonly string[] => [
  modeOf(state),
  ...readdirSync(state)
    .filter((name) => name.startsWith('fleet.db'))
    .map((name) => modeOf(join(state, name))),
];

const isClosed = (modes: readonly string[]): void => {
  assert.ok(modes.length >= 3, 'a folder, the database and its log');
  assert.deepEqual(new Set(modes), new Set(['700', '600']));
};

test('the folder and the files of a new store are for the server’s user alone, whatever the umask', async () => {
  using repository = await new TestRepository().init();
  const state = join(repository.top, 'some/where/state');
  const before = process.umask(0);
  try {
    await using _ = await ServerProcess.start(['--repository', repository.dir, '--state', state]);
    isClosed(modesIn(state));
  } finally {
    process.umask(before);
  }
});

test('a store that others could look into is closed to them at the next start', async () => {
  using repository = await new TestRepository().init();
  const state = join(repository.top, 'state');
  const tls = ['--tls-own', join(state, 'tls')];
  await using server = await ServerProcess.start(['--repository', repository.dir, '--state', state, ...tls]);
  await server.kill();
  assert.ok(existsSync(join(state, 'fleet.db-wal')), 'a server that was killed leaves its log');
  chmodSync(state, 0o755);
  for (const name of ['fleet.db', 'fleet.db-wal']) chmodSync(join(state, name), 0o644);
  await server.start();
  isClosed(modesIn(state));
  assert.doesNotMatch(server.said, /other users/);
});

test('a folder that also holds something else is left as it is, and named', async () => {
  using repository = await new TestRepository().init();
  const state = join(repository.top, 'shared');
  mkdirSync(state, { mode: 0o755 });
  chmodSync(state, 0o755);
  writeFileSync(join(state, 'index.html'), 'for everybody');
  await using server = await ServerProcess.start(['--repository', repository.dir, '--state', state]);
  const [folder, ...files] = modesIn(state);
  assert.deepEqual([folder, new Set(files)], ['755', new Set(['600'])]);
  assert.match(server.said, /other users of this machine[^\n]*shared/);
});
