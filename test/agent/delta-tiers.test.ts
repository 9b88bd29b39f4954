/** Each tier puts the release together, whatever the free slot held, and counts what it did. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { attempt, deltaHost, holds, RIGHT } from '../support/delta-host.ts';
import { blocksFile, buildRelease, patchFile, rootImage } from '../support/delta-releases.ts';

const BLOCKS = 300;
const OLD = await buildRelease('1', rootImage(BLOCKS));
/** Some blocks are new, some have moved, some are zeros, and a few are there twice. */
const changes = new Map<number, number>([
  [7, 0],
  [8, 0],
  ...Array.from({ length: 20 }, (_, at) => [40 + at, 1100 + at] as const),
  ...Array.from({ length: 25 }, (_, at) => [150 + at, 9000 + at] as const),
  [250, 9003],
  [299, 9999],
]);
const NEW = await buildRelease('2', rootImage(BLOCKS, changes), 14);
const OTHER = await buildRelease(
  '3',
  rootImage(
    BLOCKS,
    new Map([
      [100, 4],
      [299, 9999],
    ]),
  ),
);
const BY_BLOCKS = await blocksFile(OLD, NEW);
const PATCH = await patchFile(OLD, NEW);

describe('a release is put together', () => {
  for (const [tier, deltas] of [
    ['patch', [PATCH, BY_BLOCKS]],
    ['blocks', [BY_BLOCKS]],
    ['full', []],
  ] as const)
    for (const before of [undefined, OTHER, NEW])
      test(`by ${tier}, over ${before ? `release ${before.version}` : 'an empty slot'}`, async () => {
        const host = deltaHost(OLD, NEW, deltas, before ? { before } : {});
        const counts = await attempt(host);
        assert.deepEqual(await holds(host), RIGHT);
        assert.equal(counts.tier, tier);
        assert.deepEqual(counts.fallen, []);
        if (tier !== 'full') {
          assert.ok(counts.fetched < 0.4 * NEW.bundle.length, `${counts.fetched} bytes were fetched`);
          assert.ok(counts.copied > 0 || before === NEW);
        }
        if (before) assert.ok(counts.kept > 100 * 4096);
      });

  test('from an older release than the publisher knew, what is not among the news comes out of the bundle', async () => {
    const host = deltaHost(OTHER, NEW, [BY_BLOCKS]);
    const counts = await attempt(host);
    assert.deepEqual(await holds(host), RIGHT);
    assert.equal(counts.tier, 'blocks');
  });

  test('a patch that was made for another release is not taken', async () => {
    const host = deltaHost(OTHER, NEW, [PATCH]);
    assert.equal((await attempt(host)).tier, 'full');
    assert.deepEqual(await holds(host), RIGHT);
  });
});

describe('a delta that is larger than the release itself', () => {
  const full = NEW.manifest.images.reduce((sum, { blob, frames }) => sum + blob.size + frames.size, 0);
  const patchOf = (size: number) => ({ ...PATCH, delta: { ...PATCH.delta, size } });
  const blocksOf = (size: number) => ({
    ...BY_BLOCKS,
    delta: { ...BY_BLOCKS.delta, head: { ...BY_BLOCKS.delta.head, size } },
  });

  for (const [what, deltas] of [
    ['patch', [patchOf(full)]],
    ['index of blocks', [blocksOf(full)]],
    ['of both', [patchOf(full + 1), blocksOf(full + 1)]],
  ] as const)
    test(`is not tried (${what})`, async () => {
      const host = deltaHost(OLD, NEW, deltas);
      const { tier, choices, fallen } = await attempt(host);
      assert.deepEqual([tier, fallen], ['full', []]);
      assert.deepEqual(choices, [{ tier: 'full', bytes: full }]);
      assert.deepEqual(await holds(host), RIGHT);
    });
});
