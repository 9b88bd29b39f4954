/** A patch puts the new volume together from the old one, whatever moved, changed, repeated or went. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK } from '../../../src/bundle/verity.ts';
import { someBytes } from '../../support/bundles.ts';
import { applyPatch, headOf, patchBytes, patchSide } from '../../support/patches.ts';

async function roundTrip(old: Uint8Array, next: Uint8Array): Promise<number> {
  const [from, to] = [patchSide(old), patchSide(next)];
  const { bytes, ...built } = await patchBytes(from, to, { level: 3 });
  const head = headOf(bytes, built, from, to);
  assert.deepEqual(await applyPatch(bytes, head, old, next.length / BLOCK), next);
  return bytes.length;
}

/** One block of each kind that images are made of. */
const block = fc.oneof(
  fc.constant(new Uint8Array(BLOCK)),
  fc.integer({ min: 1, max: 6 }).map((seed) => someBytes(BLOCK, seed)),
  fc.integer({ min: 1 }).map((seed) => someBytes(BLOCK, seed)),
  fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat(BLOCK - 1), fc.nat(255)).map(([seed, at, value]) => {
    const edited = someBytes(BLOCK, seed);
    edited[at] = value;
    return edited;
  }),
  fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat(500)).map(([seed, by]) => someBytes(BLOCK + by, seed).slice(by)),
);

const volumeBytes = (minLength: number) =>
  fc.array(block, { minLength, maxLength: 200 }).map((blocks) => new Uint8Array(Buffer.concat(blocks)));

test('a patch gives the new volume, whatever moved, changed, repeated or went', async () => {
  await fc.assert(
    fc.asyncProperty(volumeBytes(0), volumeBytes(1), async (old, next) => void (await roundTrip(old, next))),
    { numRuns: 60 },
  );
});

test('a volume that only moved costs a few bytes', async () => {
  const old = someBytes(300 * BLOCK);
  const next = new Uint8Array(300 * BLOCK);
  next.set(old.subarray(7 * BLOCK));
  next.set(old.subarray(0, 7 * BLOCK), 293 * BLOCK);
  assert.ok((await roundTrip(old, next)) < 200);
});

test('bytes that moved within their blocks are found again', async () => {
  const old = someBytes(400 * BLOCK);
  const next = new Uint8Array(400 * BLOCK);
  next.set(old.subarray(0, 200 * BLOCK));
  next.set(new TextEncoder().encode('one more word'), 200 * BLOCK);
  next.set(old.subarray(200 * BLOCK, 400 * BLOCK - 13), 200 * BLOCK + 13);
  assert.ok((await roundTrip(old, next)) < 4000);
});
