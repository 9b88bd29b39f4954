/** What the medium gives back decides, whatever was written to it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBackDigest, readBackRoot } from '../../src/agent/install/image-install.ts';
import { DECODER } from '../../src/bundle/decode/decoder.ts';
import { decodePool } from '../../src/bundle/decode/pool.ts';
import { imageOf, rootOf } from '../../src/bundle/manifest.ts';
import type { BlockTarget } from '../../src/system/disk/block-target.ts';
import { bundleBytes, noSignal, someBytes } from '../support/bundles.ts';

const plain = someBytes(64 * 4096);
const { manifest } = await bundleBytes({ root: plain, uki: someBytes(4096) });
const image = rootOf(manifest);

const medium = (bytes: Uint8Array): BlockTarget => ({
  name: 'slot b',
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
  write: () => assert.fail('a read-back writes nothing'),
  flush: () => assert.fail('a read-back writes nothing'),
  [Symbol.asyncDispose]: async () => {},
});

const readBack = async (bytes: Uint8Array): Promise<void> => {
  await using pool = decodePool({ workers: 1, entry: DECODER });
  await readBackRoot({ image, target: medium(bytes), pool, signal: noSignal });
};

test('the root that was signed is accepted', () => readBack(plain));

test('one flipped bit in any block gives another root hash', async () => {
  for (const at of [0, 4095, 31 * 4096 + 7, plain.length - 1]) {
    const flipped = new Uint8Array(plain);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    await assert.rejects(readBack(flipped), { code: 'read-back-mismatch', message: /slot b has the root hash/ });
  }
});

test('a verity tree with one flipped bit is not the one that was signed', async () => {
  const verity = imageOf(manifest, 'verity') ?? assert.fail('the bundle has no tree');
  const job = { image: verity, target: medium(new Uint8Array(verity.size)), signal: noSignal };
  await assert.rejects(readBackDigest(job), { code: 'read-back-mismatch', message: /digest/ });
});
