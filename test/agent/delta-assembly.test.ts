/** Blocks that are put together in any order, with filler between copies, end up right. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openAssembly } from '../../src/agent/install/delta/assembly.ts';
import { blockSet, extentsWhere } from '../../src/bundle/delta/copy.ts';
import { volume } from '../../src/bundle/image/volume.ts';
import { BLOCK } from '../../src/bundle/verity.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const BLOCKS = 60;
const right = (block: number): number => 1 + (block % 100);
const FILLER = 255;

/** A piece that is copied with what lies between, or fetched blocks. */
type Deed = Readonly<{ first: number; count: number; isCopy: boolean }>;

/** Every block once, in runs of any length and any order; copies span the blocks that are fetched between them. */
const deeds = fc
  .tuple(
    fc.array(fc.boolean(), { minLength: BLOCKS, maxLength: BLOCKS }),
    fc.uniqueArray(fc.integer({ min: 1, max: BLOCKS - 1 }), { maxLength: 12 }),
  )
  .chain(([copied, cuts]) => {
    const bounds = [0, ...cuts.toSorted((a, b) => a - b), BLOCKS];
    const runs = bounds.slice(1).flatMap((end, at): Deed[] => {
      const first = bounds[at] ?? 0;
      const fetched = extentsWhere(end - first, (block) => !copied[first + block]);
      return [
        { first, count: end - first, isCopy: true },
        ...fetched.map((run) => ({ first: first + run.first, count: run.count, isCopy: false })),
      ];
    });
    return fc.tuple(fc.constant(copied), fc.shuffledSubarray(runs, { minLength: runs.length, maxLength: runs.length }));
  });

test('filler never takes the place of a block that is there, and never counts as one', () =>
  fc.assert(
    fc.asyncProperty(deeds, async ([copied, order]) => {
      const storage = new RecordingDisk({ disk: new Uint8Array(BLOCKS * BLOCK) });
      const root = storage.partition(0, BLOCKS * BLOCK);
      const image = volume([{ role: 'root', size: BLOCKS * BLOCK }]);
      const assembly = await openAssembly({ volume: image, root, kept: blockSet(BLOCKS) });
      for (const { first, count, isCopy } of order) {
        const bytes = new Uint8Array(count * BLOCK);
        for (let at = 0; at < count; at += 1)
          bytes.fill(!isCopy || copied[first + at] ? right(first + at) : FILLER, at * BLOCK, (at + 1) * BLOCK);
        const before = assembly.present.count;
        await (isCopy ? assembly.copy(first, bytes, (block) => !copied[block]) : assembly.write(first, bytes));
        const real = isCopy ? copied.slice(first, first + count).filter(Boolean).length : count;
        assert.equal(assembly.present.count - before, real);
      }
      await assembly.finish();
      const found = storage.bytes(0, BLOCKS * BLOCK);
      for (let block = 0; block < BLOCKS; block += 1)
        assert.equal(found[block * BLOCK + 7], right(block), `block ${block}`);
    }),
    { numRuns: 100 },
  ));
