/** A file tree of somebody else: no path leads out of it, and nothing in it blocks or is run. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { isNull } from '../../../src/system/disk/file-tree.ts';
import { folderTree } from '../../../src/system/disk/folder-tree.ts';

const top = await mkdtemp(join(tmpdir(), 'tandem-folder-tree-'));
after(() => rm(top, { recursive: true }));
await writeFile(join(top, 'secret'), 'outside');
const inside = join(top, 'tree');
await mkdir(join(inside, 'etc'), { recursive: true });
await mkdir(join(inside, 'usr/lib'), { recursive: true });
await writeFile(join(inside, 'etc/name'), 'inside');
await writeFile(join(inside, 'usr/lib/name'), 'library');
const links: Readonly<Record<string, string>> = {
  lib: 'usr/lib',
  absolute: '/etc/name',
  through: '/lib/name',
  up: '../../../../../secret',
  'etc/up': '../../../secret',
  'etc/above': '../../../../etc/name',
  host: join(top, 'secret'),
  loop: 'loop',
  one: 'two',
  two: 'one',
  dangling: 'nowhere',
  masked: '/dev/null',
  top: '/',
  folder: '/etc/',
};
for (const [path, target] of Object.entries(links)) await symlink(target, join(inside, path));
const tree = await folderTree(inside);
const textAt = async (path: string): Promise<string> => new TextDecoder().decode(await tree.readHead(path, 100));

test('links lead where they lead in the system of the tree', async () => {
  assert.equal(await textAt('/absolute'), 'inside');
  assert.equal(await textAt('/through'), 'library');
  assert.equal(await textAt('/lib/name'), 'library');
  assert.equal(await textAt('/etc/above'), 'inside');
  assert.equal(await textAt('/top/top/etc/name'), 'inside');
  assert.equal(await textAt('/folder/name'), 'inside');
  assert.equal(await textAt('//etc/./../etc//name'), 'inside');
  assert.deepEqual(await tree.list('/folder'), ['above', 'name', 'up']);
});

test('no path leads out of the tree', async () => {
  for (const path of ['/up', '/etc/up', '/host', '/../secret', '/etc/../../../../secret', '/top/../../secret'])
    assert.equal(await tree.find(path), undefined, path);
});

test('a loop, a dangling link, a path through a file and an impossible name lead nowhere', async () => {
  for (const path of ['/loop', '/one', '/dangling', '/etc/name/more', '/nul\0', `/${'x'.repeat(300)}`])
    assert.equal(await tree.find(path), undefined, path);
  assert.equal((await tree.entry('/dangling'))?.target, 'nowhere');
});

test('a link to /dev/null is known, although the tree has no devices', async () => {
  assert.ok(isNull(await tree.find('/masked')));
  assert.equal(await tree.read('/masked'), undefined);
  assert.equal((await tree.entry('/masked'))?.kind, 'link');
});

test('a pipe is not opened, and neither is anything else that is not a file', async () => {
  execFileSync('mkfifo', [join(inside, 'pipe')]);
  assert.equal((await tree.find('/pipe'))?.kind, 'pipe');
  await assert.rejects(tree.readHead('/pipe', 10), { code: 'source-unreadable', message: /is a pipe/ });
  await assert.rejects(tree.read('/etc'), { code: 'source-unreadable', message: /is a folder/ });
});

test('of a file of ten gigabytes, only the part that is asked for is read', async () => {
  await writeFile(join(inside, 'large'), 'start');
  await truncate(join(inside, 'large'), 10 * 1024 ** 3);
  assert.equal((await textAt('/large')).slice(0, 5), 'start');
  assert.equal((await tree.readPart('/large', 10 * 1024 ** 3 - 2, 10))?.bytes.length, 2);
  assert.equal((await tree.readPart('/large', 11 * 1024 ** 3, 10))?.bytes.length, 0);
  await assert.rejects(tree.read('/large'), { code: 'source-unreadable', message: /10737418240 bytes/ });
});

test('a folder that is replaced by a link while a file in it is read leads nowhere else', async () => {
  const swapped = join(inside, 'swapped');
  for (let turns = 0; turns < 30; turns += 1) {
    await rm(swapped, { recursive: true, force: true });
    await mkdir(swapped);
    await writeFile(join(swapped, 'secret'), 'inside');
    const reading = textAt('/swapped/secret').catch((error: unknown) => (error as { code?: unknown }).code);
    for (let turn = 0; turn < turns; turn += 1) await setImmediate();
    await rename(swapped, join(inside, `gone-${turns}`));
    await symlink(top, swapped);
    assert.match(String(await reading), /^(inside|source-unreadable|)$/, `after ${turns} turns`);
  }
});

test('what is no folder is no tree', async () => {
  await assert.rejects(folderTree(join(top, 'secret')), { code: 'source-unreadable' });
  await assert.rejects(folderTree(join(top, 'nowhere')), { code: 'source-unreadable' });
});
