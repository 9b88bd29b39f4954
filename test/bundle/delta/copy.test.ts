/** Sets of blocks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { blockSet, extentsWhere } from '../../../src/bundle/delta/copy.ts';

test('a set of blocks does what a set of numbers does', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'addRange', 'remove'),
    first: fc.nat({ max: 99 }),
    count: fc.nat({ max: 20 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const set = blockSet(120);
      const model = new Set<number>();
      for (const { what, first, count } of steps) {
        if (what === 'add') model.add(first) && set.add(first);
        if (what === 'remove') model.delete(first) ? set.remove(first) : set.remove(first);
        if (what === 'addRange') set.addRange(first, count);
        if (what === 'addRange') for (let block = first; block < first + count; block += 1) model.add(block);
      }
      const blocks = Array.from({ length: set.size }, (_, block) => block);
      assert.equal(set.count, model.size);
      assert.deepEqual(
        blocks.filter((block) => set.has(block)),
        [...model].sort((a, b) => a - b),
      );
      const missing = set.missingRuns().flatMap(({ first, count }) => blocks.slice(first, first + count));
      assert.deepEqual(
        missing,
        blocks.filter((block) => !model.has(block)),
      );
    }),
  );
});

test('runs are as long as they can be', () => {
  const wanted = [true, true, false, true, false, false, true];
  assert.deepEqual(
    extentsWhere(7, (block) => wanted[block] ?? false),
    [
      { first: 0, count: 2 },
      { first: 3, count: 1 },
      { first: 6, count: 1 },
    ],
  );
  assert.deepEqual(
    extentsWhere(0, () => true),
    [],
  );
});

test('a block outside the volume is refused', () => {
  assert.throws(() => blockSet(8).add(8), RangeError);
  assert.throws(() => blockSet(8).addRange(7, 2), RangeError);
});
