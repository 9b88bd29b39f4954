/** Frames decoded in threads come out in order, checked, and whole. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DecodeJob } from '../../../src/bundle/decode/batch.ts';
import { decodeFrame } from '../../../src/bundle/decode/decode.ts';
import { DECODER, type Decoder } from '../../../src/bundle/decode/decoder.ts';
import { decodePool } from '../../../src/bundle/decode/pool.ts';
import { type Bundle, openBundle } from '../../../src/bundle/reader.ts';
import { BLOCK, blockDigests, DIGEST } from '../../../src/bundle/verity.ts';
import { bundleBytes, noSignal, someBytes } from '../../support/bundles.ts';
import { memorySource } from '../../support/sources.ts';

const root = someBytes(5 * 1024 * 1024 + BLOCK);
const { bytes } = await bundleBytes({ root, uki: someBytes(5000) });
const bundle = await openBundle(memorySource(bytes), undefined, noSignal);
const salt = Buffer.from(bundle.image('root').verity?.salt ?? '', 'hex');
const leaves = blockDigests(salt, root);

async function* jobs(from: Bundle, wrongLeaf = -1): AsyncGenerator<DecodeJob> {
  const table = await from.frameTable('root', noSignal);
  for await (const frame of from.compressedFrames('root', table, noSignal)) {
    const first = (frame.offset / BLOCK) * 32;
    const mine = leaves.slice(first, first + (frame.plainSize / BLOCK) * 32);
    if (frame.index === wrongLeaf) mine.reverse();
    yield { frame, check: { salt, leaves: mine } };
  }
}

test('plain bytes come out in order, at page boundaries', async () => {
  await using pool = decodePool({ workers: 2, entry: DECODER });
  for (const _ of [1, 2]) {
    const plain: Uint8Array[] = [];
    let at = 0;
    for await (const run of pool.map(jobs(bundle))) {
      assert.equal(run.bytes.byteOffset % BLOCK, 0);
      assert.equal(run.offset, at);
      plain.push(new Uint8Array(run.bytes));
      at += run.bytes.length;
    }
    assert.ok(Buffer.concat(plain).equals(root));
  }
});

test('a frame that does not match its leaves ends the run with its name, and the pool stays usable', async () => {
  await using pool = decodePool({ workers: 2, entry: DECODER });
  const read = async (from: AsyncGenerator<DecodeJob>): Promise<number> => {
    let count = 0;
    for await (const run of pool.map(from)) count += run.bytes.length;
    return count;
  };
  await assert.rejects(read(jobs(bundle, 9)), { code: 'block-mismatch', message: /^Block 576 \(frame 9\)/ });
  assert.equal(await read(jobs(bundle)), root.length);
});

test('stopping in the middle gives everything back', async () => {
  await using pool = decodePool({ workers: 1, entry: DECODER });
  for (let round = 0; round < 5; round += 1) for await (const run of pool.map(jobs(bundle))) if (run.offset > 0) break;
  let end = 0;
  for await (const run of pool.map(jobs(bundle))) end = run.offset + run.bytes.length;
  assert.equal(end, root.length);
});

test('frames of every size are decoded, small ones too', async () => {
  await using pool = decodePool({ workers: 1, entry: DECODER });
  for (const size of [1, 100, 4000, 8192, 32_700, 65_472, 65_536, 100_000, 262_144]) {
    const uki = someBytes(size);
    const small = await bundleBytes({ root: someBytes(BLOCK), uki });
    const opened = await openBundle(memorySource(small.bytes), undefined, noSignal);
    async function* frames(): AsyncGenerator<DecodeJob> {
      const table = await opened.frameTable('uki', noSignal);
      for await (const frame of opened.compressedFrames('uki', table, noSignal)) yield { frame };
    }
    for (let round = 0; round < 3; round += 1)
      for await (const run of pool.map(frames())) assert.ok(Buffer.from(uki).equals(run.bytes), `${size} bytes`);
  }
});

test('the threads give the digests of any number of blocks, wherever the bytes lie', async () => {
  await using pool = decodePool({ workers: 2, entry: DECODER });
  const hex = Buffer.from(salt).toString('hex');
  const shared = new Uint8Array(new SharedArrayBuffer(root.length));
  shared.set(root);
  for (const blocks of [0, 1, 2, 3, 7, 129]) {
    const expected = Buffer.from(leaves.subarray(0, blocks * DIGEST));
    for (const bytes of [root, shared])
      assert.ok(expected.equals(await pool.digests(hex, bytes.subarray(0, blocks * BLOCK))), `${blocks} blocks`);
  }
});

test('a thread that dies is an error, not a hang', async () => {
  await using pool = decodePool({ workers: 1, entry: new URL('data:text/javascript,process.exit(3)') as Decoder });
  await assert.rejects(async () => {
    for await (const _ of pool.map(jobs(bundle)));
  }, /decoding thread/);
});

test('decoding without a thread gives the same', async () => {
  const plain: Uint8Array[] = [];
  for await (const { frame, check } of jobs(bundle)) plain.push(decodeFrame(frame, check));
  assert.ok(Buffer.concat(plain).equals(root));
});
