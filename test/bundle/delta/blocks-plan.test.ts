/** A host that does what the plan says has the new release. */

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseBlocksHead, serializeBlocksHead } from '../../../src/bundle/delta/blocks-head.ts';
import { chooseNews } from '../../../src/bundle/delta/blocks-news.ts';
import { addLeaves, knownLeaves, planBlocks } from '../../../src/bundle/delta/blocks-plan.ts';
import { type BlockSet, blockSet } from '../../../src/bundle/delta/copy.ts';
import { groupsOf } from '../../../src/bundle/delta/groups.ts';
import { lookup, SHORT, shorten } from '../../../src/bundle/delta/short-leaves.ts';
import { BLOCK } from '../../../src/bundle/verity.ts';
import { apply, blocksFile, leavesOf, type MadeRelease, release } from './blocks-host.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);
const noneOf = (to: MadeRelease): BlockSet => blockSet(to.volume.blocks);

/** Releases of blocks that often recur, within one release and between them. */
const stretch = fc.oneof(
  fc.tuple(fc.nat({ max: 300 }), fc.nat({ max: 60 })).map(([from, count]) => range(from, from + count)),
  fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 40 })).map(([id, count]) => new Array<number>(count).fill(id)),
);
const image = fc.array(stretch, { minLength: 1, maxLength: 8 }).map((parts) => parts.flat());
const made = fc.record({ root: image.filter((ids) => ids.length > 0), uki: image });
const someOf = fc.infiniteStream(fc.boolean());

test('whatever a host has, it ends with the new release, and damaged blocks of the old one are noticed', async () => {
  await fc.assert(
    fc.asyncProperty(made, made, made, fc.nat({ max: 2 }), someOf, someOf, async (a, b, c, known, keep, spoil) => {
      const [one, two, to] = [release(a.root, a.uki), release(b.root, b.uki), release(c.root, c.uki)];
      const file = await blocksFile(to, [one, two].slice(0, known));
      const kept = noneOf(to);
      for (let at = 0; at < kept.size; at += 1) if (keep.next().value) kept.add(at);
      const plain = Buffer.from(one.plain);
      const spoilt = new Set<number>();
      for (let at = 0; at < one.volume.blocks; at += 1)
        if (spoil.next().value && spoilt.add(at)) plain[at * BLOCK + 17] = (plain[at * BLOCK + 17] ?? 0) ^ 1;

      const applied = apply(file, to, { ...one, plain }, kept);
      assert.ok(applied.plain.equals(to.plain));
      const copied = applied.plan.copies.flatMap(({ from, count }) => range(from, from + count));
      assert.equal(applied.wrong, copied.filter((from) => spoilt.has(from)).length);
    }),
    { numRuns: 60 },
  );
});

const v1 = release(range(1, 1200), range(5000, 5100));
const v2 = release([...range(1, 400), ...range(2000, 2040), ...range(400, 1200)], [...range(5000, 5050), 7, 7, 6000]);
const v3 = release(
  [...range(1, 400), ...range(2000, 2040), ...range(400, 700), 3000, ...range(700, 1200)],
  [...range(5000, 5050), 7, 7, 6000],
);

test('a host on a known release fetches a piece from the beginning of the news, and nothing from the bundle', async () => {
  const file = await blocksFile(v3, [v2, v1]);
  const fromV2 = apply(file, v3, v2, noneOf(v3));
  assert.ok(fromV2.plain.equals(v3.plain));
  assert.deepEqual(fromV2.plan.frames, [0]);
  assert.equal(fromV2.plan.missing, 1);
  assert.deepEqual(fromV2.plan.rest, []);
  const fromV1 = apply(file, v3, v1, noneOf(v3));
  assert.ok(fromV1.plain.equals(v3.plain));
  assert.deepEqual(fromV1.plan.frames, range(0, file.parsed.frames.count));
  assert.deepEqual(fromV1.plan.rest, []);
});

test('a host on an unknown release takes from the bundle what no known release lacked', async () => {
  const file = await blocksFile(v3, [v2]);
  const applied = apply(file, v3, v1, noneOf(v3));
  assert.ok(applied.plain.equals(v3.plain));
  assert.deepEqual(applied.plan.frames, [0]);
  assert.ok(applied.plan.rest.length > 0);
});

test('without known releases there are no news, and a host without an old volume fetches the bundle', async () => {
  const file = await blocksFile(v3, []);
  assert.equal(file.parsed.news.length, 0);
  const applied = apply(file, v3, undefined, noneOf(v3));
  assert.ok(applied.plain.equals(v3.plain));
  assert.equal(applied.plan.rest.length, Math.ceil(1240 / 4) + Math.ceil(53 / 4));
});

test('few leaves are fetched for a small change, and none for what is the same wherever it moved', async () => {
  const file = await blocksFile(v3, [v2]);
  assert.ok(leavesOf(file, [shorten(v2.leaves)]).leavesFetched <= 200);
  const moved = release([...range(8000, 8300), ...range(1, 1200)], range(5000, 5100));
  const known = leavesOf(await blocksFile(moved, [v1]), [shorten(v1.leaves)]);
  assert.ok(known.leavesFetched < 300 + 128);
  assert.equal(leavesOf(file, [shorten(v3.leaves)]).leavesFetched, 0);
});

test('leaves that are not those of the head are refused', async () => {
  const { parsed, bytes } = await blocksFile(v3, [v2]);
  const { shorts, unknown } = knownLeaves(parsed);
  assert.deepEqual(unknown, [{ first: 0, count: v3.volume.blocks }]);
  const all = bytes.slice(parsed.size, parsed.size + v3.volume.blocks * SHORT);
  const whole = { first: 0, count: v3.volume.blocks };
  addLeaves(parsed, shorts, whole, all);
  assert.deepEqual(shorts, shorten(v3.leaves));
  assert.throws(() => addLeaves(parsed, shorts, whole, all.subarray(SHORT)), { code: 'delta-mismatch' });
  all[500 * SHORT] = (all[500 * SHORT] ?? 0) ^ 1;
  assert.throws(() => addLeaves(parsed, shorts, whole, all), { code: 'delta-mismatch' });
  assert.deepEqual(shorts, shorten(v3.leaves), 'nothing of a refused piece is taken');
  const facts = { head: parsed, old: undefined, kept: noneOf(v3), volume: v3.volume, manifest: v3.manifest };
  assert.throws(() => planBlocks({ ...facts, shorts: all }), { code: 'delta-mismatch' });
});

test('two leaves with one short leaf give a wrong copy, which only the root hash can tell', async () => {
  const wanted = Buffer.from(v3.leaves.subarray(740 * 32, 741 * 32));
  const other = v2.leaves.subarray(20 * 32, 21 * 32);
  const digest = (leaf: Uint8Array): Uint8Array => (wanted.equals(leaf) ? other : leaf);
  const file = await blocksFile(v3, [v2], { digest });
  const applied = apply(file, v3, v2, noneOf(v3));
  assert.equal(applied.wrong, 0);
  assert.ok(applied.plain.subarray(740 * BLOCK, 741 * BLOCK).equals(v2.plain.subarray(20 * BLOCK, 21 * BLOCK)));
  assert.ok(!applied.plain.equals(v3.plain));
});

test('400,000 blocks are planned in a moment', async () => {
  const blocks = 400_000;
  const row = (seed: number): Uint8Array =>
    new Uint8Array(Uint32Array.from({ length: blocks * 2 }, (_, n) => Math.imul(n ^ (n >>> 9), seed)).buffer);
  const [oldShorts, shorts] = [row(0x9e3779b1), row(0x85ebca6b)];
  shorts.set(oldShorts.subarray(0, blocks * 5));
  const { blocks: news, starts } = chooseNews(shorts, [oldShorts], () => false);
  const frames = Array.from({ length: Math.ceil(news.length / 128) }, (_, n) => ({
    blocks: Math.min(128, news.length - n * 128),
    packedSize: 1000,
    sha256: new Uint8Array(32),
  }));
  const leavesSha256 = hash('sha256', shorts, 'buffer');
  const big = { parts: [{ role: 'root' as const, first: 0, blocks, size: blocks * BLOCK }], blocks };
  const bytes = serializeBlocksHead({ groups: groupsOf(shorts), leavesSha256, news, frames });
  assert.deepEqual(starts, [0]);

  const start = process.cpuUsage();
  const head = parseBlocksHead(bytes, big);
  const { unknown } = knownLeaves(head, oldShorts);
  const facts = { head, shorts, volume: big, manifest: v3.manifest };
  const plan = planBlocks({ ...facts, old: lookup(oldShorts), kept: blockSet(blocks) });
  const { user } = process.cpuUsage(start);
  assert.ok(unknown.length > 0);
  assert.equal(plan.missing, news.length);
  assert.ok(user < 1_500_000, `${user} microseconds`);
});
