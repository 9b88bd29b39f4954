/** Compression: every frame is one frame, whatever its size. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { checkZstdFrame } from '../../../src/bundle/decode/zstd-frame.ts';
import { packHead, unpackHead } from '../../../src/bundle/delta/delta-file.ts';
import { compressAll } from '../../../src/bundle/publish/compress.ts';

/** What Node.js hands out at a time unless told otherwise. */
const CHUNK = 16 * 1024;
/** Noise does not shrink: around these sizes a frame fills so many chunks exactly. */
const sizes = [1, 2, 4, 16].flatMap((chunks) => Array.from({ length: 40 }, (_, less) => chunks * CHUNK - less));

test('a frame that exactly fills the chunks of the compressor is one frame, and nothing comes after it', async () => {
  const plains = async function* () {
    for (const size of sizes) yield new Uint8Array(randomBytes(size));
  };
  let filled = 0;
  for await (const { plain, packed } of compressAll(plains(), 3)) {
    checkZstdFrame(packed, plain.length, 0);
    if (packed.length % CHUNK === 0) filled += 1;
  }
  assert.equal(filled, 4);
});

test('so is the head of a delta', () => {
  let filled = 0;
  for (const size of sizes) {
    const plain = randomBytes(size);
    const head = packHead('TESTHEAD', plain);
    assert.ok(plain.equals(unpackHead('TESTHEAD', head, size)));
    if ((head.length - 12) % CHUNK === 0) filled += 1;
  }
  assert.equal(filled, 4);
});
