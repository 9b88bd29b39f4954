/** Reading the beginning of files, whatever they are, and telling folders from links. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isFolder, readHead, readPart, readThrough } from '../../src/system/files.ts';

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

test('a folder behind a link is not one at that path', async () => {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'tandem-folder-')));
  await symlink('/', join(dir, 'link'));
  await writeFile(join(dir, 'file'), '');
  const looked = [dir, join(dir, 'link'), join(dir, 'link/etc'), join(dir, 'file'), join(dir, 'absent')].map(isFolder);
  assert.deepEqual(await Promise.all(looked), [true, false, false, false, false]);
  await rm(dir, { recursive: true });
});

test('a part of a file, and what is read to warm it up, is of the file at that very path and no other', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-link-'));
  const path = (name: string): string => join(dir, name);
  await writeFile(path('file'), 'abcdef');
  await symlink('file', path('link'));
  const part = await readPart(path('file'), 2, 3);
  assert.deepEqual([Buffer.from(part?.bytes ?? []).toString(), part?.size], ['cde', 6]);
  assert.deepEqual([await readThrough(path('file'), 6), await readThrough(path('file'), 5)], [6, 0]);
  for (const read of [() => readPart(path('link'), 0, 6), () => readThrough(path('link'), 6)])
    await assert.rejects(read(), { code: 'ELOOP' });
  assert.deepEqual([await readPart(path('absent'), 0, 1), await readThrough(path('absent'), 1)], [undefined, 0]);
  assert.equal(await readThrough(dir, 1e6), 0);
  await rm(dir, { recursive: true });
});
