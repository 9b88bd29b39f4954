/** The head of a patch makes every new block once, out of what exists, within bounds; anything else is refused by name. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Copy } from '../../../src/bundle/delta/copy.ts';
import { packHead, unpackHead } from '../../../src/bundle/delta/delta-file.ts';
import {
  blocksIn,
  encodePatchHead,
  type PatchHead,
  parsePatchHead,
  type SegmentDraft,
} from '../../../src/bundle/delta/patch-head.ts';
import { volume } from '../../../src/bundle/image/volume.ts';
import { BLOCK } from '../../../src/bundle/verity.ts';

const volumeOfBlocks = (blocks: number) => volume([{ role: 'root', size: blocks * BLOCK }]);
const [from, to] = [volumeOfBlocks(1000), volumeOfBlocks(40)];

const segment: SegmentDraft = {
  packedSize: 700,
  sha256: new Uint8Array(32).fill(7),
  to: [
    { first: 10, count: 5 },
    { first: 20, count: 3 },
  ],
  also: [{ to: 30, from: 6, count: 2 }],
  dictionary: [
    { first: 500, count: 20 },
    { first: 3, count: 2 },
  ],
  check: new Uint8Array(8).fill(9),
};
const copies: readonly Copy[] = [
  { to: 0, from: 900, count: 10 },
  { to: 15, from: 2, count: 5 },
  { to: 23, from: 100, count: 7 },
  { to: 32, from: 0, count: 8 },
];

const refused = (bytes: Uint8Array, fileSize?: number): void =>
  assert.throws(() => parsePatchHead(bytes, from, to, fileSize), { name: 'UpdateError', code: 'delta-invalid' });

const headWith = (change: Partial<SegmentDraft>, others = copies): Uint8Array =>
  encodePatchHead(others, [{ ...segment, ...change }], from, to);

test('a head is read as it was written', () => {
  const bytes = encodePatchHead(copies, [segment], from, to);
  const head = parsePatchHead(bytes, from, to, bytes.length + 700);
  assert.deepEqual(head, { copies, segments: [{ ...segment, index: 0, offset: bytes.length }] });
});

test('segments must end where the file does', () => {
  const bytes = encodePatchHead(copies, [segment], from, to);
  refused(bytes, bytes.length + 699);
});

test('a head for other volumes is refused', () => {
  const bytes = encodePatchHead(copies, [segment], from, to);
  assert.throws(() => parsePatchHead(bytes, from, volumeOfBlocks(41)), { code: 'delta-invalid' });
  assert.throws(() => parsePatchHead(bytes, volumeOfBlocks(999), to), { code: 'delta-invalid' });
});

test('a block that is made twice or never is refused', () => {
  refused(headWith({ also: [] }));
  refused(headWith({ also: [{ to: 31, from: 6, count: 2 }] }));
  refused(headWith({ to: [{ first: 10, count: 5 }] }));
  refused(headWith({}, copies.slice(1)));
  refused(headWith({}, [...copies, { to: 40, from: 0, count: 1 }]));
});

test('what lies outside of the volumes is refused', () => {
  refused(headWith({ dictionary: [{ first: 990, count: 11 }] }));
  refused(headWith({ dictionary: [{ first: -1, count: 2 }] }));
  refused(headWith({ also: [{ to: 30, from: 7, count: 2 }] }));
  refused(headWith({}, [{ to: 0, from: 991, count: 10 }, ...copies.slice(1)]));
});

test('a segment that would need much memory is refused', () => {
  refused(headWith({ dictionary: [{ first: 0, count: 513 }] }));
  refused(
    headWith({
      dictionary: [
        { first: 0, count: 500 },
        { first: 0, count: 13 },
      ],
    }),
  );
  refused(headWith({ packedSize: 9 * BLOCK }));
  refused(headWith({ packedSize: 0 }));
  const large = volumeOfBlocks(257);
  const bytes = encodePatchHead([], [{ ...segment, to: [{ first: 0, count: 257 }], also: [] }], from, large);
  assert.throws(() => parsePatchHead(bytes, from, large), { code: 'delta-invalid' });
});

test('numbers that are cut off, too long or too large are refused', () => {
  const plain = unpackHead('TNDMPAT1', encodePatchHead(copies, [segment], from, to), 10_000);
  const repacked = (...pieces: Uint8Array[]): Uint8Array => packHead('TNDMPAT1', Buffer.concat(pieces));
  for (let length = 0; length < plain.length; length += 1) refused(repacked(plain.subarray(0, length)));
  refused(repacked(plain, new Uint8Array(1)));
  refused(repacked(Uint8Array.of((plain[0] as number) | 128, (plain[1] as number) | 128, 0), plain.subarray(2)));
  refused(repacked(new Uint8Array(300).fill(128)));
  refused(repacked(new Uint8Array(300).fill(255)));
});

function checkInvariants({ copies: read, segments }: PatchHead): void {
  const made = [...read, ...segments.flatMap(({ also }) => also)].map(({ to: first, count }) => ({ first, count }));
  const all = [...made, ...segments.flatMap((one) => one.to)].sort((a, b) => a.first - b.first);
  let next = 0;
  for (const { first, count } of all) {
    assert.equal(first, next);
    next += count;
  }
  assert.equal(next, to.blocks);
  for (const one of segments) assert.ok(blocksIn(one.to) <= 256 && blocksIn(one.dictionary) <= 512);
}

test('a head with any bytes changed is refused, or is another one that keeps the rules', () => {
  const bytes = encodePatchHead(copies, [segment], from, to);
  const plain = unpackHead('TNDMPAT1', bytes, 10_000);
  const changes = fc.array(fc.tuple(fc.nat(plain.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
  const tryOne = (changed: Uint8Array): void => {
    try {
      checkInvariants(parsePatchHead(changed, from, to));
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'delta-invalid', String(error));
    }
  };
  const changed = (original: Uint8Array, list: [number, number][]): Uint8Array => {
    const copy = new Uint8Array(original);
    for (const [at, value] of list) copy[at % copy.length] = value;
    return copy;
  };
  fc.assert(
    fc.property(changes, (list) => tryOne(packHead('TNDMPAT1', changed(plain, list)))),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(changes, (list) => tryOne(changed(bytes, list))),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (any) => tryOne(packHead('TNDMPAT1', any))));
});
