/** Reading the beginning of files, whatever they are. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readHead } from '../../src/system/files.ts';

const text = async (path: string, most: number): Promise<string | undefined> => {
  const bytes = await readHead(path, most);
  return bytes && Buffer.from(bytes).toString();
};

test('no more of a file is read than was asked for, and a link is followed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-head-'));
  const path = (name: string): string => join(dir, name);
  await writeFile(path('file'), 'abcdef');
  await symlink('file', path('link'));
  execFileSync('mkfifo', [path('pipe')]);
  assert.equal(await text(path('file'), 4), 'abcd');
  assert.equal(await text(path('link'), 100), 'abcdef');
  assert.equal(await text(path('pipe'), 100), '');
  assert.equal(await text(path('absent'), 100), undefined);
  await rm(dir, { recursive: true });
});

test('a file of the kernel, which says that it is empty, is read', async () => {
  assert.match((await text('/proc/self/mountinfo', 100_000)) ?? '', / \/ /);
});
