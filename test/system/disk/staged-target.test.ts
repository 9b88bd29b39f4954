/** What a block target does with short, late and failing system calls. */

import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DiskTarget } from '../../../src/system/disk/block-target.ts';
import { type RawIo, stagedTarget } from '../../../src/system/disk/staged-target.ts';

const SIZE = 4 * 1024 * 1024;
const AREA = { name: 'disk', device: true, start: 8192, size: SIZE, sectorSize: 512, unit: 512 };

/** A device in memory that may do less than asked, and later than asked. */
function device(change: Partial<RawIo> = {}, most = Number.POSITIVE_INFINITY) {
  const medium = Buffer.alloc(AREA.start + SIZE);
  const io: RawIo = {
    write: async (bytes, done, at) => {
      await new Promise((resolve) => setImmediate(resolve));
      const length = Math.min(most, bytes.length - done);
      medium.set(bytes.subarray(done, done + length), at);
      return length;
    },
    read: async (bytes, done, at) => {
      const length = Math.min(most, bytes.length - done);
      bytes.set(medium.subarray(at, at + length), done);
      return length;
    },
    sync: async () => undefined,
    close: async () => undefined,
    ...change,
  };
  return { medium, io, target: stagedTarget(AREA, io) };
}

const failing = (code: string) => async () => {
  throw Object.assign(new Error(code), { code });
};

test('any writes, in any order and overlapping, read back as if each had been done at once', async () => {
  const write = fc.record({
    offset: fc.integer({ min: 0, max: SIZE - 1 }),
    length: fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 2_500_000 })),
    byte: fc.integer({ min: 1, max: 255 }),
    next: fc.constantFrom('nothing', 'read', 'flush'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 8 }), fc.constantFrom(512, 70_000, SIZE), async (writes, most) => {
      const { medium, target } = device({}, most);
      const model = Buffer.alloc(SIZE);
      for (const { offset, length, byte, next } of writes) {
        const bytes = Buffer.alloc(Math.min(length, SIZE - offset), byte);
        await target.write(offset, bytes);
        // What was handed over is the caller's again.
        model.set(bytes, offset);
        bytes.fill(0);
        if (next === 'flush') await target.flush();
        if (next === 'read')
          assert.ok(
            Buffer.from(await target.read(offset, bytes.length)).equals(model.subarray(offset, offset + bytes.length)),
          );
      }
      await target.flush();
      assert.ok(medium.subarray(AREA.start).equals(model));
    }),
    { numRuns: 40 },
  );
});

test('two reads may be held at a time, so that one can be read ahead', async () => {
  const { target } = device();
  await target.write(0, Buffer.alloc(2 * 4096, 1).fill(2, 4096));
  const first = await target.read(0, 4096);
  const second = await target.read(4096, 4096);
  assert.deepEqual([first[0], second[0]], [1, 2]);
});

test('a failed flush is never tried again, and nothing is believed after it', async () => {
  let syncs = 0;
  const { target } = device({
    sync: async () => {
      syncs++;
      if (syncs === 1) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    },
  });
  const failure = { code: 'disk-flush-failed', message: /disk/ };
  await target.write(0, new Uint8Array(4096));
  for (const deed of deeds(target)) await assert.rejects(deed(), failure);
  assert.equal(syncs, 1);
});

test('a failed write is named with its offset, at the latest by the flush, and the target stays failed', async () => {
  for (const [code, expected] of [
    ['EIO', 'disk-write-error'],
    ['ENOSPC', 'disk-write-error'],
    ['EROFS', 'slot-read-only'],
    ['EPERM', 'slot-read-only'],
  ] as const) {
    const { target } = device({ write: failing(code) });
    await target.write(1024 * 1024, new Uint8Array(4096));
    for (const deed of deeds(target))
      await assert.rejects(deed(), { code: expected, details: { offset: 1024 * 1024 } });
    await target[Symbol.asyncDispose]();
  }
});

test('a device that takes or gives no bytes is a failed one', async () => {
  await assert.rejects(write(device({ write: async () => 0 }).target), { code: 'disk-write-error' });
  await assert.rejects(device({ read: async () => 0 }).target.read(0, 512), {
    code: 'disk-read-error',
    message: /ends/,
  });
  await assert.rejects(device({ read: failing('EIO') }).target.read(512, 512), {
    code: 'disk-read-error',
    message: /512/,
  });
});

test('a read that fails half way is named with the offset at which it did', async () => {
  const half =
    (then: RawIo['read']): RawIo['read'] =>
    async (bytes, done, at) =>
      done < 512 ? 512 : then(bytes, done, at);
  for (const [then, message] of [
    [failing('EIO'), /EIO/],
    [async () => 0, /ends/],
  ] as const)
    await assert.rejects(device({ read: half(then) }).target.read(512, 2048), {
      code: 'disk-read-error',
      message,
      details: { offset: 1024 },
    });
});

test('a write that fails half way is named with the offset at which it did', async () => {
  for (const [then, message] of [
    [failing('EIO'), /EIO/],
    [async () => 0, /took no bytes/],
  ] as const) {
    const { target } = device({ write: async (_, done) => (done < 512 ? 512 : then()) });
    await target.write(1024, new Uint8Array(4096));
    await assert.rejects(target.flush(), { code: 'disk-write-error', message, details: { offset: 1536 } });
  }
});

test('what was written is sent out when the target is closed without a flush, and only then is the device let go', async () => {
  const deeds: string[] = [];
  const late = async (deed: string): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    deeds.push(deed);
  };
  const { target } = device({
    write: async (bytes, done, at) => {
      await late(`${at}: ${Buffer.from(bytes.subarray(done)).toString()}`);
      return bytes.length - done;
    },
    close: () => late('closed'),
  });
  await target.write(100, Buffer.from('kept'));
  await target[Symbol.asyncDispose]();
  assert.deepEqual(deeds, [`${AREA.start + 100}: kept`, 'closed']);
});

test('what lies outside of the area is neither read nor written, by one byte', async () => {
  const { target } = device();
  for (const [offset, length] of [
    [-1, 1],
    [SIZE, 1],
    [SIZE - 511, 512],
  ] as const) {
    await assert.rejects(target.read(offset, length), RangeError);
    await assert.rejects(target.write(offset, new Uint8Array(length)), RangeError);
  }
  await target.write(SIZE - 1, Uint8Array.of(7));
  assert.deepEqual([...(await target.read(SIZE - 2, 2))], [0, 7]);
});

test('writes overlap, and no more memory is used than that of three large ones', async () => {
  let now = 0;
  let most = 0;
  const { target } = device({
    write: async (bytes) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
      return bytes.length;
    },
  });
  for (let offset = 0; offset < SIZE; offset += 65_536) await target.write(offset, new Uint8Array(65_536));
  await target.flush();
  assert.ok(most >= 2 && most <= 3, `${most} at a time`);
});

test('small writes here and there are under way side by side, each with its own bytes', async () => {
  let now = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const { medium, target } = device({
    write: async (bytes, done, at) => {
      most = Math.max(most, ++now);
      await new Promise<void>((resolve) => {
        // The last one ends first.
        waiting.unshift(resolve);
        setImmediate(() => waiting.shift()?.());
      });
      now--;
      medium.set(bytes.subarray(done), at);
      return bytes.length - done;
    },
  });
  const model = Buffer.alloc(SIZE);
  for (let turn = 0; turn < 400; turn += 1) {
    const offset = ((turn * 77) % 512) * 8192;
    const bytes = Buffer.alloc(4096, 1 + (turn % 255));
    model.set(bytes, offset);
    await target.write(offset, bytes);
  }
  await target.flush();
  assert.ok(most > 10, `${most} at a time`);
  assert.ok(medium.subarray(AREA.start).equals(model));
});

/** What the caller's memory holds after it was filled. */
async function filled(target: DiskTarget, offset: number, length: number): Promise<Buffer> {
  const into = new Uint8Array(length);
  await (target.readInto ?? assert.fail())(offset, into);
  return Buffer.from(into);
}

for (const most of [512, 1500, SIZE])
  test(`memory of the caller is filled whole, at most ${most} bytes at a time`, async () => {
    const { medium, target } = device({}, most);
    randomFillSync(medium);
    for (const [offset, length] of [
      [0, 4096],
      [4096, 65_536],
      [SIZE - 4096, 4096],
      [0, 0],
    ] as const) {
      const from = AREA.start + offset;
      assert.ok((await filled(target, offset, length)).equals(medium.subarray(from, from + length)), String(offset));
    }
    const several = await Promise.all([0, 8192, 16_384].map((offset) => filled(target, offset, 4096)));
    assert.ok(Buffer.concat(several).equals(Buffer.concat([0, 8192, 16_384].map((at) => pageOf(medium, at)))));
  });

const pageOf = (medium: Buffer, offset: number): Buffer =>
  medium.subarray(AREA.start + offset, AREA.start + offset + 4096);

test('memory of the caller is not filled from beyond the area, nor from a device that fails or ends', async () => {
  await assert.rejects(filled(device().target, SIZE - 4096, 8192), RangeError);
  await assert.rejects(filled(device().target, -4096, 4096), RangeError);
  await assert.rejects(filled(device({ read: failing('EIO') }).target, 4096, 4096), {
    code: 'disk-read-error',
    message: /4096/,
  });
  await assert.rejects(filled(device({ read: async () => 0 }).target, 0, 4096), { code: 'disk-read-error' });
});

test('an area that begins inside a unit of the device fills no memory of the caller', () => {
  const { io } = device();
  assert.equal(stagedTarget({ ...AREA, start: 8192 + 256 }, io).readInto, undefined);
});

const deeds = (target: DiskTarget): (() => Promise<unknown>)[] => [
  () => target.flush(),
  () => target.write(0, new Uint8Array(512)),
  () => target.read(0, 512),
  () => target.flush(),
];

async function write(target: DiskTarget): Promise<void> {
  await target.write(0, new Uint8Array(512));
  await target.flush();
}
