/** Block targets on ranges of regular files; real devices are in test/partitions/loop.test.ts. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { deviceNumber } from '../../../src/system/disk/block-area.ts';
import { openBlockTarget } from '../../../src/system/disk/block-device.ts';
import { loopDisk, sh } from '../../support/loop-disk.ts';

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

test('what lies across the borders of blocks is written, whichever border it is', () =>
  withFile(randomBytes(64 * 1024), async (path) => {
    const model = readFileSync(path);
    for (const [start, offset, length] of [
      [512, 1, 4096],
      [4096, 4096, 100],
      [4096, 0, 4096],
      [1, 8191, 8192],
    ] as const) {
      const bytes = randomBytes(length);
      await using target = await openBlockTarget(path, { ...WRITING, range: { offset: start } });
      await target.write(offset, bytes);
      await target.flush();
      model.set(bytes, start + offset);
      assert.ok(readFileSync(path).equals(model), `${length} bytes at ${start + offset}`);
    }
  }));

/** The calls by which open files were read while `deed` ran; the first may `fail`. */
async function readsOf(deed: () => Promise<void>, fail?: string): Promise<(readonly [length: number, at: number])[]> {
  const handle = await open('/dev/null');
  const prototype: FileHandle = Object.getPrototypeOf(handle);
  await handle.close();
  const real = prototype.read as (...given: unknown[]) => Promise<unknown>;
  const calls: (readonly [number, number])[] = [];
  const spy = mock.method(prototype, 'read', async function (this: FileHandle, ...given: unknown[]) {
    calls.push([given[2] as number, given[3] as number]);
    if (fail !== undefined && calls.length === 1) throw Object.assign(new Error(fail), { code: fail });
    return real.call(this, ...given);
  });
  try {
    await deed();
  } finally {
    spy.mock.restore();
  }
  return calls;
}

test('whether a file system can read past the page cache is tried at the place in question; of a device it is known', () =>
  withFile(randomBytes(64 * 1024), async (path) => {
    const opens = (of: string, options: object) => async (): Promise<void> => {
      const target = await openBlockTarget(of, { writable: false, exclusive: false, ...options });
      await target[Symbol.asyncDispose]();
    };
    assert.deepEqual(await readsOf(opens(path, { range: { offset: 10_001 } })), [[4096, 8192]]);
    using disk = loopDisk();
    assert.deepEqual(await readsOf(opens(disk.path, {})), []);
  }));

test('a file system that takes the flag and refuses the reading is worked with; one that fails is named', () =>
  withFile(randomBytes(8192), async (path) => {
    const warnings: string[] = [];
    const reads = async (): Promise<void> => {
      await using target = await openBlockTarget(path, {
        writable: false,
        exclusive: false,
        range: { offset: 0 },
        warn: (one) => warnings.push(one),
      });
      assert.ok(Buffer.from(await target.read(100, 8000)).equals(readFileSync(path).subarray(100, 8100)));
    };
    await readsOf(reads, 'EINVAL');
    assert.equal(warnings.length, 1);
    await assert.rejects(readsOf(reads, 'EIO'), { code: 'disk-read-error', details: { offset: 0 } });
    assert.equal(warnings.length, 1);
  }));

test('where nothing can be read past the page cache, or written, the rest is done all the same', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-ramfs-'));
  sh('mount', '-t', 'ramfs', 'tandem', dir);
  try {
    await withFile(
      randomBytes(8192),
      async (path) => {
        const warnings: string[] = [];
        const warn = (one: string): void => void warnings.push(one);
        const model = readFileSync(path);
        {
          await using target = await openBlockTarget(path, { ...WRITING, range: { offset: 0 }, warn });
          await target.write(4096, Buffer.alloc(4096, 7));
          await target.flush();
          assert.ok(Buffer.from(await target.read(0, 8192)).equals(model.fill(7, 4096)));
        }
        assert.match(warnings.join(), /cannot read past the page cache/);
        sh('mount', '-o', 'remount,ro', dir);
        const reading = { writable: false, exclusive: false, range: { offset: 0 } };
        {
          await using target = await openBlockTarget(path, reading);
          assert.ok(Buffer.from(await target.read(0, 8192)).equals(model));
        }
        await assert.rejects(openBlockTarget(path, { ...reading, writable: true }));
        sh('mount', '-o', 'remount,rw', dir);
      },
      dir,
    );
  } finally {
    sh('umount', dir);
    rmSync(dir, { recursive: true });
  }
});
