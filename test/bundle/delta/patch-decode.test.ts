/** A segment gives its blocks or a named refusal; a patch is the same file however it was made. */

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { unpackSegment } from '../../../src/bundle/delta/patch-decode.ts';
import { type PatchSegment, segmentCheck } from '../../../src/bundle/delta/patch-head.ts';
import { BLOCK, blockDigests } from '../../../src/bundle/verity.ts';
import { someBytes } from '../../support/bundles.ts';
import { blocksOf, headOf, packedOf, patchBytes, patchSide } from '../../support/patches.ts';

/** Code that was built again: the same bytes, with numbers in them that changed everywhere. */
function rebuilt(old: Uint8Array): Uint8Array {
  const next = new Uint8Array(old);
  for (let at = 40; at < next.length; at += 57) next[at] = (next[at] as number) + 3;
  return next;
}

const old = someBytes(200 * BLOCK, 5);
const added = rebuilt(old.subarray(0, 64 * BLOCK));
const referred = new Uint8Array(64 * BLOCK);
for (let at = 0; at < referred.length; at += 300)
  referred.set(
    old
      .subarray(120 * BLOCK + ((at * 7) % 90_000), 120 * BLOCK + ((at * 7) % 90_000) + 300)
      .subarray(0, Math.min(300, referred.length - at)),
    at,
  );

async function segmentOf(next: Uint8Array) {
  const [from, to] = [patchSide(old), patchSide(next)];
  const { bytes, ...built } = await patchBytes(from, to, { level: 3 });
  const [segment] = headOf(bytes, built, from, to).segments;
  assert.ok(segment !== undefined);
  return { segment, packed: packedOf(bytes, segment), dictionary: blocksOf(old, segment.dictionary), size: built.size };
}

const forged = (segment: PatchSegment, packed: Uint8Array): PatchSegment => ({
  ...segment,
  packedSize: packed.length,
  sha256: hash('sha256', packed, 'buffer'),
});

test('both forms of a segment give its blocks, and code that was built again costs little', async () => {
  const one = await segmentOf(added);
  assert.equal(one.packed[0], 1);
  assert.deepEqual(Buffer.from(unpackSegment(one.segment, one.packed, one.dictionary)), Buffer.from(added));
  assert.ok(one.size < added.length / 50, `${one.size} bytes`);
  const other = await segmentOf(referred);
  assert.deepEqual(Buffer.from(unpackSegment(other.segment, other.packed, other.dictionary)), Buffer.from(referred));
});

test('packed bytes are not looked at before their digest is right', async () => {
  const { segment, packed, dictionary } = await segmentOf(added);
  for (const at of [0, 1, 7, packed.length - 1]) {
    const changed = new Uint8Array(packed);
    changed[at] = (changed[at] as number) ^ 1;
    await assert.rejects(async () => unpackSegment(segment, changed, dictionary), {
      code: 'delta-mismatch',
      message: /damaged/,
    });
  }
  await assert.rejects(async () => unpackSegment(segment, packed.subarray(1), dictionary), { code: 'delta-mismatch' });
});

test('other old bytes are found out by the leaves of what comes out', async () => {
  const { segment, packed, dictionary } = await segmentOf(added);
  const salt = Buffer.alloc(32);
  const wrong = new Uint8Array(dictionary).fill(1, 5 * BLOCK, 6 * BLOCK);
  const checkOf = (plain: Uint8Array): Uint8Array => {
    const leaves = blockDigests(salt, plain);
    return segmentCheck(segment.to, (block) => leaves.subarray(block * 32, block * 32 + 32));
  };
  assert.deepEqual(checkOf(unpackSegment(segment, packed, dictionary)), segment.check);
  assert.notDeepEqual(checkOf(unpackSegment(segment, packed, wrong)), segment.check);
  await assert.rejects(async () => unpackSegment(segment, packed, dictionary.subarray(BLOCK)), {
    code: 'delta-mismatch',
  });
});

test('a segment that makes more or fewer bytes than it should is refused', async () => {
  const { segment, packed, dictionary } = await segmentOf(added);
  const first = segment.to[0] as { first: number; count: number };
  for (const count of [first.count - 1, first.count + 1])
    await assert.rejects(async () => unpackSegment({ ...segment, to: [{ ...first, count }] }, packed, dictionary), {
      code: 'delta-mismatch',
    });
});

test('bytes that nobody packed are refused, or give as many bytes as they should', async () => {
  const { segment, packed, dictionary } = await segmentOf(added);
  const changes = fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(changes, async (list) => {
      const changed = new Uint8Array(packed);
      for (const [at, value] of list) changed[at] = value;
      try {
        assert.equal(unpackSegment(forged(segment, changed), changed, dictionary).length, added.length);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'delta-mismatch', String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('a patch is the same file with one thread and with three', async () => {
  const next = new Uint8Array(Buffer.concat([added, referred, someBytes(150 * BLOCK, 9), old.subarray(0, 30 * BLOCK)]));
  const [one, three] = await Promise.all(
    [1, 3].map((threads) => patchBytes(patchSide(old), patchSide(next), { threads, level: 5 })),
  );
  assert.deepEqual(one, three);
});

test('old bytes that look like a trained dictionary are not taken for one', async () => {
  const odd = new Uint8Array(old);
  for (let block = 100; block < 110; block += 1) odd.set([0x37, 0xa4, 0x30, 0xec], block * BLOCK);
  const next = new Uint8Array(Buffer.concat([someBytes(40, 3), odd.subarray(100 * BLOCK, 110 * BLOCK - 40)]));
  const [from, to] = [patchSide(odd), patchSide(next)];
  const { bytes, ...built } = await patchBytes(from, to, { level: 3 });
  const [segment] = headOf(bytes, built, from, to).segments as [PatchSegment];
  const plain = unpackSegment(segment, packedOf(bytes, segment), blocksOf(odd, segment.dictionary));
  assert.deepEqual(Buffer.from(plain), Buffer.from(next));
});

test('a build that is stopped ends with the reason', async () => {
  const stop = AbortSignal.abort(new Error('stopped'));
  await assert.rejects(patchBytes(patchSide(old), patchSide(added), { signal: stop }), { message: 'stopped' });
});
