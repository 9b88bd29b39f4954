/** The folder of a build lies beside its result, and is refused by name where it cannot. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createScratch } from '../../../src/system/disk/scratch.ts';

test('a result that cannot be written is refused before anything is made', async () => {
  await assert.rejects(createScratch('/proc/none/x.bundle'), { code: 'file-unwritable', message: /\/proc\/none/ });
});

test('nothing is left behind', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-test-'));
  try {
    {
      await using scratch = await createScratch(join(dir, 'x.bundle'));
      await (await scratch.create('part')).write(0, new Uint8Array(10));
      assert.equal((await readdir(dir)).length, 1);
    }
    assert.deepEqual(await readdir(dir), []);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('a file that is still being opened when the folder goes is closed with it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-test-'));
  try {
    const scratch = await createScratch(join(dir, 'x.bundle'));
    const late = scratch.create('part');
    await scratch[Symbol.asyncDispose]();
    await assert.rejects((await late).write(0, new Uint8Array(1)), { code: 'EBADF' });
    assert.deepEqual(await readdir(dir), []);
  } finally {
    await rm(dir, { recursive: true });
  }
});
