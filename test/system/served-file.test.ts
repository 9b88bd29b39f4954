/** A file that is given away: every part is its bytes, whoever else asks, and whatever becomes of the file meanwhile. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { type ServedFile, serveFiles } from '../../src/system/served-file.ts';
import { temporaryFolder } from '../support/bundles.ts';

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
    assert.ok((await part(await serve(path), start, end)).equals(bytes.subarray(start, end + 1)));
  const parts = await Promise.all(asked.map(async ([start, end]) => part(await serve(path), start, end)));
  for (const [at, [start, end]] of asked.entries())
    assert.ok(parts[at]?.equals(bytes.subarray(start, end + 1)), `${start}-${end}`);
});

test('a file that is replaced is served as it was for a moment, then anew, and never half of each', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'image');
  await writeFile(path, 'old old old');
  const serve = serveFiles({ freshMs: 1000 });
  assert.equal(String(await part(await serve(path), 0, 2)), 'old');
  await writeFile(join(folder.path, 'next'), 'new, and longer');
  await rename(join(folder.path, 'next'), path);
  const before = await serve(path);
  assert.equal(before?.size, 11);
  t.mock.timers.tick(1000);
  assert.equal(String(await part(before, 4, 6)), 'old');
  const after = await serve(path);
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
  const slow = await serve(path);
  await rm(path);
  t.mock.timers.tick(1000);
  assert.equal(await serve(path), undefined);
  assert.equal(isOpen(path), true, 'somebody still has it');
  assert.equal(String(await part(slow, 0, 4)), 'bytes');
  await isClosed(path);
});

test('a file that has become shorter fails rather than to be filled up with what was in memory', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'image');
  await writeFile(path, randomBytes(1000));
  const serve = serveFiles();
  const file = await serve(path);
  await truncate(path, 500);
  await assert.rejects(part(file, 0, 999), /ends at byte 500/);
  assert.equal((await part(await serve(path), 0, 499)).length, 500);
  await writeFile(join(folder.path, 'long'), randomBytes(2 * MIB));
  const long = await serve(join(folder.path, 'long'));
  await truncate(join(folder.path, 'long'), MIB);
  await assert.rejects(part(long, 0, 2 * MIB - 1), /ends at byte 1048576/);
});

test('what is no file is not there', async () => {
  await using folder = await temporaryFolder();
  const serve = serveFiles();
  assert.equal(await serve(folder.path), undefined);
  assert.equal(await serve(join(folder.path, 'nothing')), undefined);
  assert.equal(await serve(join(folder.path, 'nothing', 'below')), undefined);
});
