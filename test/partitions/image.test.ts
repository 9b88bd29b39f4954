/** The image writer and the read-back on a disk in memory. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { openImage, writeImage } from '../../src/partitions/image-writer.ts';
import { keepable, readBack } from '../../src/partitions/read-back.ts';
import type { BlockTarget } from '../../src/system/disk/block-target.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const SIZE = 64 * 1024;
const IMAGE = randomBytes(SIZE);
const world = () => new RecordingDisk({ disk: randomBytes(SIZE) });

async function* pieces(...sizes: number[]): AsyncGenerator<{ offset: number; bytes: Uint8Array }> {
  let offset = 0;
  for (const size of [...sizes, SIZE]) {
    const bytes = IMAGE.subarray(offset, offset + size);
    if (bytes.length > 0) yield { offset, bytes };
    offset += size;
  }
}

async function* these(...offsets: number[]): AsyncGenerator<{ offset: number; bytes: Uint8Array }> {
  for (const offset of offsets) yield { offset, bytes: IMAGE.subarray(offset, offset + 4096) };
}

describe('an image', () => {
  test('is written whole, however it is cut into blocks', async () => {
    for (const sizes of [[], [1], [4095, 2], [4096], [100, 100, 5000], [65_535]]) {
      const recorder = world();
      await writeImage(recorder.disk, pieces(...sizes), { size: SIZE });
      assert.ok(Buffer.from(recorder.bytes(0, SIZE)).equals(IMAGE), String(sizes));
      assert.ok(recorder.log.length > 0);
    }
  });

  test('has its first 4096 bytes zeroed first and written last, each made durable before what follows', async () => {
    const recorder = world();
    await writeImage(recorder.disk, pieces(5000), { size: SIZE });
    const order = recorder.log.map((op) => (op.op === 'block' ? (op.offset === 0 ? 'first' : 'rest') : op.op));
    assert.deepEqual(order, ['first', 'flush', 'rest', 'rest', 'flush', 'first', 'flush']);
  });

  test('tells its progress, kept bytes included', async () => {
    const seen: number[] = [];
    const blocks = these(0, 8192);
    await writeImage(world().disk, blocks, { size: 16_384, kept: 8192, progress: (done) => seen.push(done) });
    assert.deepEqual(seen, [12_288, 16_384]);
  });

  test('that does not fit, or is no whole number of blocks, is refused before the first write', async () => {
    const recorder = world();
    await assert.rejects(writeImage(recorder.disk, pieces(), { size: SIZE + 4096 }), { code: 'slot-too-small' });
    await assert.rejects(writeImage(recorder.disk, pieces(), { size: SIZE - 1 }), RangeError);
    assert.deepEqual(recorder.log, []);
  });

  test('given out of order, incompletely or too largely never gets its first block', async () => {
    for (const blocks of [
      these(0, 8192, 4096),
      these(0, 4096),
      these(0, 4096, 4096),
      these(0, 4096, 8192, 12_288, 16_384),
    ]) {
      const recorder = world();
      await assert.rejects(writeImage(recorder.disk, blocks, { size: 16_384 }), RangeError);
      assert.ok(recorder.bytes(0, 4096).every((byte) => byte === 0));
    }
  });

  test('is written at any place inside of it, its first bytes at the end, and nowhere outside', async () => {
    const recorder = world();
    const image = await openImage(recorder.disk, 16_384);
    for (const [offset, length] of [
      [-1, 2],
      [16_383, 2],
      [16_384, 1],
    ] as const)
      await assert.rejects(image.write(offset, new Uint8Array(length)), RangeError);
    for (const [from, to] of [
      [8192, 16_384],
      [4000, 8192],
      [0, 100],
      [100, 4000],
    ] as const)
      await image.write(from, IMAGE.subarray(from, to));
    assert.ok(recorder.bytes(0, 4096).every((byte) => byte === 0));
    const before = recorder.log.length;
    await image.flush();
    assert.deepEqual(recorder.log.slice(before), [{ op: 'flush', ignored: false }]);
    await image.finish();
    assert.ok(Buffer.from(recorder.bytes(0, 16_384)).equals(IMAGE.subarray(0, 16_384)));
  });

  test('may be as large as its partition and as small as one block', async () => {
    for (const size of [SIZE, 4096]) await openImage(world().disk, size);
    for (const size of [0, 4095, 100]) await assert.rejects(openImage(world().disk, size), RangeError);
  });

  test('is not finished after an abort', async () => {
    const recorder = world();
    const signal = AbortSignal.abort(new Error('stopped'));
    await assert.rejects(writeImage(recorder.disk, pieces(), { size: SIZE, signal }), /stopped/);
    assert.ok(recorder.bytes(0, 4096).every((byte) => byte === 0));
  });

  test('is not written on after a failed flush', async () => {
    const recorder = new RecordingDisk({
      disk: new Uint8Array(SIZE),
      before: (op, index) => {
        if (op.op === 'flush' && index > 1) throw new Error('EIO');
      },
    });
    await assert.rejects(writeImage(recorder.disk, pieces(), { size: SIZE }), /EIO/);
    assert.equal(recorder.log.filter((op) => op.op === 'flush').length, 1);
    assert.ok(recorder.bytes(0, 4096).every((byte) => byte === 0));
  });
});

describe('the read-back', () => {
  test('reads the next piece while the sink works on this one, in order, to the very end', async () => {
    const size = 3 * 1024 * 1024 + 4096;
    const events: string[] = [];
    const target: Pick<BlockTarget, 'read'> = {
      read: async (offset, length) => {
        events.push(`read ${offset}`);
        return new Uint8Array(length);
      },
    };
    let total = 0;
    await readBack(target as BlockTarget, size, async (bytes, offset) => {
      await new Promise((resolve) => setImmediate(resolve));
      events.push(`done ${offset}`);
      total += bytes.length;
    });
    assert.equal(total, size);
    const at = (piece: number) => piece * 512 * 1024;
    for (const piece of [1, 2, 3, 4, 5, 6])
      assert.ok(events.indexOf(`read ${at(piece)}`) < events.indexOf(`done ${at(piece - 1)}`));
  });

  test('ends with the failure of a read or of the sink', async () => {
    const broken = { read: async () => Promise.reject(new Error('EIO')) } as unknown as BlockTarget;
    await assert.rejects(
      readBack(broken, SIZE, () => undefined),
      /EIO/,
    );
    await assert.rejects(
      readBack(world().disk, SIZE, () => {
        throw new Error('wrong');
      }),
      /wrong/,
    );
  });
});

describe('frames to keep', () => {
  const frame = 8192;
  const right = (index: number, bytes: Uint8Array) =>
    IMAGE.subarray(index * frame)
      .subarray(0, bytes.length)
      .equals(bytes);

  test('are those that lie right, never the first, and the last may be short', async () => {
    const disk = Buffer.from(IMAGE);
    disk[3 * frame + 17] = (disk[3 * frame + 17] ?? 0) ^ 1;
    const { disk: target } = new RecordingDisk({ disk });
    const kept = await keepable(target, frame, 5 * frame + 4096, right);
    assert.deepEqual([...kept], [1, 2, 4, 5]);
  });

  test('are not searched for beyond a run of others', async () => {
    const disk = Buffer.from(IMAGE);
    disk.fill(0, 2 * frame, 4 * frame);
    const { disk: target } = new RecordingDisk({ disk });
    assert.deepEqual([...(await keepable(target, frame, SIZE, right, { patience: 2 }))], [1]);
    assert.deepEqual([...(await keepable(target, frame, SIZE, right, { patience: 3 }))], [1, 4, 5, 6, 7]);
  });
});
