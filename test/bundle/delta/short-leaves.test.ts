/** Blocks are found by the first bytes of their leaves. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lookup, SHORT, sameShort, shorten } from '../../../src/bundle/delta/short-leaves.ts';

/** Leaves of few different values, so that many are equal. */
const shortsOf = (values: readonly number[]): Uint8Array => {
  const shorts = new Uint8Array(values.length * SHORT);
  const view = new DataView(shorts.buffer);
  for (const [index, value] of values.entries()) view.setUint32(index * SHORT + (value & 4), value, true);
  return shorts;
};

const rows = fc.array(fc.nat({ max: 40 }), { maxLength: 100 });

test('a short leaf is the beginning of a leaf', () => {
  const leaves = Uint8Array.from({ length: 96 }, (_, index) => index);
  assert.deepEqual(shorten(leaves), Uint8Array.of(...[0, 32, 64].flatMap((at) => [...leaves.subarray(at, at + 8)])));
});

test('the first block with the same short leaf is found, and none where there is none', () => {
  fc.assert(
    fc.property(rows, rows, (here, wanted) => {
      const found = lookup(shortsOf(here));
      const shorts = shortsOf(wanted);
      assert.equal(found.blocks, here.length);
      for (const [index, value] of wanted.entries()) assert.equal(found.find(shorts, index), here.indexOf(value));
    }),
  );
});

test('only the blocks that may be found are found', () => {
  const shorts = shortsOf([7, 8, 7, 9, 7]);
  const found = lookup(shorts, Uint32Array.of(2, 3));
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((index) => found.find(shorts, index)),
    [2, -1, 2, 3, 2],
  );
});

test('both halves of a short leaf count', () => {
  const shorts = shortsOf([1, 4, 1, 5]);
  assert.equal(sameShort(shorts, 0, shorts, 2), true);
  assert.equal(sameShort(shorts, 0, shorts, 1), false);
  assert.equal(sameShort(shorts, 1, shorts, 3), false);
});

test('half a million leaves are looked up within a second of processor time', () => {
  const leaves = new Uint32Array(2 * 500_000);
  for (const [index] of leaves.entries()) leaves[index] = Math.imul(index + 1, 0x9e3779b1);
  const shorts = new Uint8Array(leaves.buffer);
  const start = process.cpuUsage();
  const found = lookup(shorts);
  for (let index = 0; index < found.blocks; index += 1)
    if (found.find(shorts, index) !== index) assert.fail(`block ${index}`);
  assert.ok(process.cpuUsage(start).user < 1_000_000);
});
