/** A file that is given away: every part is its bytes, whoever else asks, and whatever becomes of the file meanwhile. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { link, mkdir, open, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { type ServedFile, serveFiles } from '../../../src/system/http/served-file.ts';
import { temporaryFolder } from '../../support/bundles.ts';

const MIB = 1024 * 1024;

async function part(lent: ServedFile | undefined, start: number, end: number): Promise<Buffer> {
  assert.ok(lent);
  await using file = lent;
  const body = await file.span(start, end);
  return body instanceof Uint8Array ? Buffer.from(body) : await buffer(body);
}

const isOpen = (path: string): boolean =>
  readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  });

/** Node.js takes it for a fault when a file is forgotten that is still open, whenever its memory is looked through. */
async function isClosed(path: string): Promise<void> {
  while (isOpen(path)) await new Promise(setImmediate);
}

test('many parts at once, short and long, are each the bytes of their place', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'image');
  const bytes = randomBytes(3 * MIB);
  await writeFile(path, bytes);
  const serve = serveFiles();
  const asked = Array.from({ length: 200 }, (_, index) => {
    const start = (index * 104_729) % bytes.length;
    const length = index % 5 === 0 ? MIB : 1 + ((index * 7919) % 262_144);
    return [start, Math.min(bytes.length, start + length) - 1] as const;
  });
  for (const [start, end] of asked.slice(0, 20))
    assert.ok((await part(await serve(folder.path, 'image'), start, end)).equals(bytes.subarray(start, end + 1)));
  const parts = await Promise.all(
    asked.map(async ([start, end]) => part(await serve(folder.path, 'image'), start, end)),
  );
  for (const [at, [start, end]] of asked.entries())
    assert.ok(parts[at]?.equals(bytes.subarray(start, end + 1)), `${start}-${end}`);
});

test('a file that is replaced is served as it was for a moment, then anew, and never half of each', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'image');
  await writeFile(path, 'old old old');
  const serve = serveFiles({ freshMs: 1000 });
  assert.equal(String(await part(await serve(folder.path, 'image'), 0, 2)), 'old');
  await writeFile(join(folder.path, 'next'), 'new, and longer');
  await rename(join(folder.path, 'next'), path);
  const before = await serve(folder.path, 'image');
  assert.equal(before?.size, 11);
  t.mock.timers.tick(1000);
  assert.equal(String(await part(before, 4, 6)), 'old');
  const after = await serve(folder.path, 'image');
  assert.deepEqual([after?.size, String(await part(after, 5, 14))], [15, 'and longer']);
  t.mock.timers.tick(1000);
  await isClosed(path);
});

test('what nobody asks for any more is closed, so that a removed file gives its space back', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'image');
  await writeFile(path, 'bytes');
  const serve = serveFiles({ freshMs: 1000 });
  const slow = await serve(folder.path, 'image');
  await rm(path);
  t.mock.timers.tick(1000);
  assert.equal(await serve(folder.path, 'image'), undefined);
  assert.equal(isOpen(path), true, 'somebody still has it');
  assert.equal(String(await part(slow, 0, 4)), 'bytes');
  await isClosed(path);
});

test('a file that has become shorter fails rather than to be filled up with what was in memory', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'image');
  await writeFile(path, randomBytes(1000));
  const serve = serveFiles();
  const file = await serve(folder.path, 'image');
  await truncate(path, 500);
  await assert.rejects(part(file, 0, 999), /ends at byte 500/);
  assert.equal((await part(await serve(folder.path, 'image'), 0, 499)).length, 500);
  await writeFile(join(folder.path, 'long'), randomBytes(2 * MIB));
  const long = await serve(folder.path, 'long');
  await truncate(join(folder.path, 'long'), MIB);
  await assert.rejects(part(long, 0, 2 * MIB - 1), /ends at byte 1048576/);
});

test('what is no file of the folder is not there, and keeps nobody waiting', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  const serve = serveFiles();
  await mkdir(at('elsewhere'));
  await mkdir(at('top/below'), { recursive: true });
  await writeFile(at('elsewhere/secret'), 'secret');
  await writeFile(at('top/file'), 'file');
  execFileSync('mkfifo', [at('top/pipe')]);
  await symlink('../elsewhere/secret', at('top/link'));
  await symlink('../elsewhere', at('top/folder'));
  await symlink('link', at('top/link-to-a-link'));
  await symlink('loop', at('top/loop'));
  await symlink('/dev/zero', at('top/device'));
  const socket = createServer().listen(at('top/socket')).unref();
  const none = [
    '',
    'none',
    'none/below',
    'file/below',
    'below',
    'pipe',
    'link',
    'folder/secret',
    'link-to-a-link',
    'loop',
    'device',
    'socket',
  ];
  for (const name of [...none, 'x'.repeat(256), 'below/../../elsewhere/secret', '../elsewhere/secret'])
    assert.equal(await serve(at('top'), name), undefined, name);
  assert.equal(String(await part(await serve(at('top'), 'file'), 0, 3)), 'file');
  socket.close();
});

test('a folder that is itself behind a link is served, and one that is put in its place', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  const serve = serveFiles({ freshMs: 0 });
  for (const one of ['one', 'two']) {
    await mkdir(at(one));
    await writeFile(at(`${one}/name`), one);
    await symlink(one, at('next'));
    await rename(at('next'), at('here'));
    assert.equal(String(await part(await serve(at('here'), 'name'), 0, 2)), one);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await link(at('one/name'), at('two/other'));
  assert.equal(String(await part(await serve(at('here'), 'other'), 0, 2)), 'one', 'a hard link is a file');
});

test('a file that is replaced while it is opened is served all the same', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  await writeFile(at('image'), 'old');
  const opens = async (path: string) => {
    const handle = await open(path);
    await writeFile(at('next'), 'new');
    await rename(at('next'), path);
    return handle;
  };
  assert.equal(String(await part(await serveFiles({ opens })(folder.path, 'image'), 0, 2)), 'old');
});
