/** A head is read back as it was written, and anything else is refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type BlocksHead, parseBlocksHead, serializeBlocksHead } from '../../../src/bundle/delta/blocks-head.ts';
import { packHead, unpackHead } from '../../../src/bundle/delta/delta-file.ts';
import { blocksFile, release } from './blocks-host.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

const v1 = release(range(1, 400), range(900, 950));
const to = release([...range(1, 200), ...range(2000, 2140), 5, 0, 0, 5, ...range(210, 400)], range(930, 960));
const file = await blocksFile(to, [release([...range(100, 400), ...range(2000, 2070)]), v1]);

const MAGIC = 'tdblock1';
const plain = unpackHead(MAGIC, file.head, 2 ** 20);

/** The parts of a parsed head, as the builder had them. */
const partsOf = ({ groups, leavesSha256, news, frames }: BlocksHead) => ({
  groups,
  leavesSha256,
  news,
  frames: range(0, frames.count).map((frame) => ({
    blocks: (frames.firsts[frame + 1] ?? 0) - (frames.firsts[frame] ?? 0),
    packedSize: (frames.offsets[frame + 1] ?? 0) - (frames.offsets[frame] ?? 0),
    sha256: frames.sha256(frame),
  })),
});

/** The head in these bytes, or nothing when it is refused as a head is refused. */
function parsed(bytes: Uint8Array): BlocksHead | undefined {
  try {
    return parseBlocksHead(bytes, to.volume);
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'delta-invalid', String(error));
    return undefined;
  }
}

test('a head is read back as it was written, and the file has the size that it says', () => {
  assert.equal(file.parsed.fileSize, file.bytes.length);
  assert.equal(file.parsed.size, file.head.length);
  assert.ok(file.parsed.frames.count >= 2);
  assert.ok(Buffer.from(file.head).equals(serializeBlocksHead(partsOf(file.parsed))));
});

test('building twice gives the same bytes', async () => {
  const older = [release([...range(100, 400), ...range(2000, 2070)]), v1];
  assert.deepEqual((await blocksFile(to, older)).bytes, file.bytes);
});

test('the news are in the order of their classes, each content once, and no zeros', () => {
  const { news } = file.parsed;
  const leaf = (at: number): string => Buffer.from(to.leaves.subarray(at * 32, at * 32 + 32)).toString('hex');
  assert.equal(new Set([...news].map(leaf)).size, news.length);
  const falls = range(1, news.length).filter((at) => (news[at] ?? 0) < (news[at - 1] ?? 0));
  assert.equal(falls.length, 1, 'one class ends, the next begins');
  assert.ok(![...news].some((at) => at >= 341 && at <= 342), 'the zeros at 341 and 342');
});

test('a head that is cut off, goes on, or has any bit turned is refused', () => {
  for (let at = 0; at < file.head.length; at += 1) {
    const bytes = Uint8Array.from(file.head);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at & 7));
    const head = parsed(bytes);
    if (head) assert.deepEqual(partsOf(head), partsOf(file.parsed), `bit ${at & 7} of byte ${at}`);
  }
  for (const length of [0, 1, 11, 12, 20, file.head.length - 1])
    assert.equal(parsed(file.head.subarray(0, length)), undefined);
  assert.equal(parsed(Buffer.concat([file.head, Buffer.alloc(1)])), undefined);
});

test('whatever a damaged plain head says, it is refused or is another head that fits the volume', () => {
  const change = fc.record({
    at: fc.nat({ max: plain.length - 1 }),
    value: fc.nat({ max: 255 }),
    cut: fc.option(fc.nat({ max: 40 })),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      let bytes = Uint8Array.from(plain);
      for (const { at, value, cut } of changes) {
        bytes[at % Math.max(1, bytes.length)] = value;
        if (cut !== null) bytes = bytes.slice(0, bytes.length - cut);
      }
      const head = parsed(packHead(MAGIC, bytes));
      if (head === undefined) return;
      assert.ok(Buffer.from(packHead(MAGIC, bytes)).equals(serializeBlocksHead(partsOf(head))), 'one way to write it');
      assert.ok(head.news.every((at) => at < to.volume.blocks));
      assert.equal(new Set(head.news).size, head.news.length);
      assert.equal(head.groups.firsts.at(-1), to.volume.blocks);
    }),
    { numRuns: 2000 },
  );
});

test('bytes that nobody made are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, packed) => {
      assert.equal(parsed(packed ? packHead(MAGIC, bytes) : bytes), undefined);
    }),
  );
});

test('no more memory is taken than the head of such a release can have', () => {
  const bomb = packHead(MAGIC, new Uint8Array(32 * 1024 * 1024));
  assert.ok(bomb.length < 8192);
  assert.equal(parsed(bomb), undefined);
  const lie = Buffer.from(bomb);
  lie.writeUInt32LE(1000, 8);
  assert.equal(parsed(lie), undefined);
});

test('a head for another release is refused', () => {
  assert.throws(() => parseBlocksHead(file.head, v1.volume), { code: 'delta-invalid' });
});
