/** Block targets on ranges of regular files; real devices are in test/partitions/loop.test.ts. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { deviceNumber } from '../../src/system/block-area.ts';
import { openBlockTarget } from '../../src/system/block-device.ts';

async function withFile(bytes: Uint8Array, deed: (path: string) => Promise<void>, parent = tmpdir()): Promise<void> {
  const dir = mkdtempSync(join(parent, 'tandem-block-'));
  try {
    const path = join(dir, 'disk');
    writeFileSync(path, bytes);
    await deed(path);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const WRITING = { writable: true, exclusive: true } as const;

test('a range of a file is written and read, and nothing beside it', () =>
  withFile(randomBytes(300_000), async (path) => {
    const before = readFileSync(path);
    const image = randomBytes(100_001);
    {
      await using target = await openBlockTarget(path, { ...WRITING, range: { offset: 10_001, size: 150_000 } });
      assert.equal(target.size, 150_000);
      await target.write(7, image);
      await target.flush();
      assert.ok(Buffer.from(await target.read(7, image.length)).equals(image));
      assert.ok(Buffer.from(await target.read(149_999, 1)).equals(before.subarray(160_000, 160_001)));
    }
    before.set(image, 10_008);
    assert.ok(readFileSync(path).equals(before));
  }));

test('a range without a size goes to the end of the file, which may end inside a block', () =>
  withFile(randomBytes(10_001), async (path) => {
    await using target = await openBlockTarget(path, { writable: false, exclusive: false, range: { offset: 4096 } });
    assert.equal(target.size, 10_001 - 4096);
    assert.ok(Buffer.from(await target.read(5900, 5)).equals(readFileSync(path).subarray(9996)));
  }));

test('a range that the file does not have is refused', () =>
  withFile(new Uint8Array(8192), async (path) => {
    await assert.rejects(openBlockTarget(path, { ...WRITING, range: { offset: 4096, size: 8192 } }), {
      code: 'partition-changed',
    });
  }));

test('a file without a range, a folder, a pipe and an absent path are refused, and nothing is created', () =>
  withFile(new Uint8Array(1), async (path) => {
    await assert.rejects(openBlockTarget(path, WRITING), { code: 'not-a-block-device' });
    await assert.rejects(openBlockTarget('/tmp', { writable: false, exclusive: false, range: { offset: 0 } }), {
      code: 'not-a-block-device',
    });
    await assert.rejects(openBlockTarget(`${path}-absent`, { ...WRITING, range: { offset: 0 } }), {
      code: 'partition-missing',
    });
    assert.equal(existsSync(`${path}-absent`), false);
    execFileSync('mkfifo', [`${path}-pipe`]);
    await assert.rejects(openBlockTarget(`${path}-pipe`, WRITING), { code: 'not-a-block-device' });
  }));

test('a file system that cannot read past the page cache is worked with, and the reader is warned', () =>
  withFile(
    randomBytes(8192),
    async (path) => {
      const direct = await open(path, constants.O_RDONLY | constants.O_DIRECT).then(
        (handle) => handle.close().then(() => true),
        () => false,
      );
      const warnings: string[] = [];
      await using target = await openBlockTarget(path, {
        ...WRITING,
        range: { offset: 0 },
        warn: (one) => warnings.push(one),
      });
      assert.ok(Buffer.from(await target.read(0, 8192)).equals(readFileSync(path)));
      assert.equal(warnings.length, direct ? 0 : 1);
    },
    '/dev/shm',
  ));

test('device numbers are written as the kernel writes them, large ones too', () => {
  assert.equal(deviceNumber(0x0801n), '8:1');
  assert.equal(deviceNumber((259n << 8n) | 5n), '259:5');
  assert.equal(deviceNumber((1n << 8n) | 0x2cn | (0x123n << 20n)), `1:${0x12300 + 0x2c}`);
});
