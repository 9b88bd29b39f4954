/** Which requests are made of wanted ranges. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planRanges } from '../../../src/system/http/range-plan.ts';

const range = (start: number, end: number) => ({ start, end });

test('neighbours come in one request, with what lies between them if that is little', () => {
  const wanted = [range(500, 600), range(0, 100), range(100, 200), range(210, 300)];
  assert.deepEqual(planRanges(wanted, { gap: 10 }), [
    { start: 0, end: 300, holds: [1, 2, 3] },
    { start: 500, end: 600, holds: [0] },
  ]);
  assert.equal(planRanges(wanted, { gap: 9 }).length, 3);
});

test('a run is cut where it enters a new cell of the file, so that hosts with different gaps ask for the same pieces', () => {
  const frames = Array.from({ length: 100 }, (_, index) => range(index * 90, index * 90 + 90));
  const all = planRanges(frames, { most: 1000 });
  const later = planRanges(frames.slice(37), { most: 1000 });
  assert.equal(all.length, 9);
  const borders = ({ start, end }: { start: number; end: number }) => `${start}-${end}`;
  assert.deepEqual(later.slice(1).map(borders), all.slice(-later.length + 1).map(borders));
});

test('a range is never cut, however long it is', () => {
  assert.deepEqual(planRanges([range(0, 5000)], { most: 100 }), [{ start: 0, end: 5000, holds: [0] }]);
});

test('every wanted range is in one request, which begins and ends with wanted bytes and holds no larger gap', () => {
  const ranges = fc.array(fc.tuple(fc.nat(5000), fc.nat(300)).map(([start, size]) => range(start, start + size)));
  fc.assert(
    fc.property(ranges, fc.nat(500), fc.integer({ min: 1, max: 2000 }), (wanted, gap, most) => {
      const fetches = planRanges(wanted, { gap, most });
      const held = fetches.flatMap(({ holds }) => holds).toSorted((a, b) => a - b);
      assert.deepEqual(
        held,
        [...wanted.keys()].filter((index) => wanted[index]?.start !== wanted[index]?.end),
      );
      for (const { start, end, holds } of fetches) {
        const parts = holds.map((index) => wanted[index] ?? range(0, 0));
        assert.equal(parts[0]?.start, start);
        assert.equal(parts.at(-1)?.end, end);
        for (const [index, part] of parts.entries()) {
          const next = parts[index + 1];
          if (next) assert.ok(next.start >= part.end && next.start - part.end <= gap);
          if (next) assert.equal(Math.floor(next.start / most), Math.floor(part.start / most));
        }
      }
    }),
  );
});
