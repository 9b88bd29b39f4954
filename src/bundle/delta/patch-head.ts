/** The head of a patch: which blocks of the new volume are copies of old ones, and which come from which segment. Strict and bounded. */

import { createHash } from 'node:crypto';
import { compressedBound } from '../frames.ts';
import type { Extent, Volume } from '../image/volume.ts';
import { BLOCK } from '../verity.ts';
import type { Copy } from './copy.ts';
import { packHead, invalid as refuse, unpackHead } from './delta-file.ts';
import { type NumberReader, type NumberWriter, numberReader, numberWriter } from './numbers.ts';

/** The most plain blocks per segment: a megabyte. */
export const SEGMENT_LIMIT = 256;
/** The most old blocks a segment refers to: two megabytes. */
export const DICTIONARY_LIMIT = 512;

/** The source of some new blocks. Self-contained: needs only the old volume and its own packed bytes. */
export type PatchSegment = Readonly<{
  index: number;
  /** The offset of its packed bytes in the file. */
  offset: number;
  packedSize: number;
  /** Of the packed bytes. */
  sha256: Uint8Array;
  /** The blocks it makes, in order. */
  to: readonly Extent[];
  /** Further places for its blocks: `from` counts its own blocks from 0. */
  also: readonly Copy[];
  /** The old blocks it refers to, in order. */
  dictionary: readonly Extent[];
  /** The first 8 bytes of the SHA-256 over the leaves of its blocks, in order. */
  check: Uint8Array;
}>;

/** Every block of the new volume is in exactly one copy, `to` or `also`. Copies and segments are in volume order. */
export type PatchHead = Readonly<{ copies: readonly Copy[]; segments: readonly PatchSegment[] }>;

/** A segment before its file offset is known. */
export type SegmentDraft = Omit<PatchSegment, 'index' | 'offset'>;

/** The number of blocks in these extents. */
export const blocksIn = (extents: readonly Readonly<{ count: number }>[]): number =>
  extents.reduce((sum, { count }) => sum + count, 0);

/** The `check` of a segment, given the 32-byte leaf of each new block. */
export function segmentCheck(to: readonly Extent[], leaf: (block: number) => Uint8Array): Uint8Array {
  const digest = createHash('sha256');
  for (const { first, count } of to)
    for (let block = first; block < first + count; block += 1) digest.update(leaf(block));
  return new Uint8Array(digest.digest().subarray(0, CHECK));
}

/** The largest packed size of that many plain bytes. */
export const packedBound = (plainSize: number): number => compressedBound(plainSize) + PACKED_SPARE;

const CHECK = 8;
const PACKED_SPARE = 64;
const MAGIC = 'TNDMPAT1';
/** The largest accepted plain head; a large update's has a tenth of a megabyte. */
const PLAIN_LIMIT = 32 * 1024 * 1024;

/** Encodes a head. */
export function encodePatchHead(
  copies: readonly Copy[],
  segments: readonly SegmentDraft[],
  from: Volume,
  to: Volume,
): Uint8Array {
  const out = numberWriter();
  for (const number of [from.blocks, to.blocks, copies.length, segments.length]) out.count(number);
  const state = { to: 0, from: 0, made: 0, old: 0 };
  for (const copy of copies) writeCopy(out, copy, state);
  for (const segment of segments) writeSegment(out, segment, state);
  return packHead(MAGIC, out.finish());
}

type Place = { to: number; from: number };
type Places = Place & { made: number; old: number };

function writeCopy(out: NumberWriter, { to, from, count }: Copy, state: Place): void {
  out.count(to - state.to);
  out.count(count);
  out.signed(from - state.from);
  state.to = to + count;
  state.from = from + count;
}

function writeSegment(out: NumberWriter, segment: SegmentDraft, state: Places): void {
  out.count(segment.to.length);
  for (const { first, count } of segment.to) {
    out.count(first - state.made);
    out.count(count);
    state.made = first + count;
  }
  const place = { to: 0, from: 0 };
  out.count(segment.also.length);
  for (const copy of segment.also) writeCopy(out, copy, place);
  out.count(segment.dictionary.length);
  for (const { first, count } of segment.dictionary) {
    out.signed(first - state.old);
    out.count(count);
    state.old = first + count;
  }
  out.count(segment.packedSize);
  out.bytes(segment.sha256);
  out.bytes(segment.check);
}

/** Decodes a head without trailing bytes; `fileSize` must equal the head and all segments together. */
export function parsePatchHead(bytes: Uint8Array, from: Volume, to: Volume, fileSize?: number): PatchHead {
  const input = numberReader(unpackHead(MAGIC, bytes, PLAIN_LIMIT), refuse);
  expectBlocks(input, 'old', from);
  expectBlocks(input, 'new', to);
  const copyCount = input.count(to.blocks);
  const segmentCount = input.count(to.blocks);
  const state = { to: 0, from: 0, made: 0, old: 0 };
  const coverage = createCoverage(to.blocks);
  const copies = times(copyCount, () => {
    const copy = readCopy(input, state, from.blocks);
    coverage.add(copy.to, copy.count);
    return copy;
  });
  let offset = bytes.length;
  const segments = times(segmentCount, (index) => {
    const segment = { index, offset, ...readSegment(input, state, from.blocks, coverage) };
    offset += segment.packedSize;
    return segment;
  });
  input.end();
  coverage.end();
  if (fileSize !== undefined && offset !== fileSize)
    throw refuse(`its segments end at ${offset}; the file has ${fileSize} bytes`);
  return { copies, segments };
}

function times<T>(count: number, make: (index: number) => T): T[] {
  const made: T[] = [];
  for (let index = 0; index < count; index += 1) made.push(make(index));
  return made;
}

function expectBlocks(input: NumberReader, which: string, { blocks }: Volume): void {
  const given = input.count(Number.MAX_SAFE_INTEGER);
  if (given !== blocks) throw refuse(`it is for ${given} ${which} blocks, not ${blocks}`);
}

function readCopy(input: NumberReader, state: Place, fromBlocks: number): Copy {
  const to = state.to + input.count(Number.MAX_SAFE_INTEGER);
  const count = input.count(fromBlocks);
  const from = state.from + input.signed();
  if (count === 0) throw refuse('a copy of no blocks');
  if (from < 0 || from + count > fromBlocks) throw refuse(`a copy from blocks ${from} to ${from + count}`);
  state.to = to + count;
  state.from = from + count;
  return { to, from, count };
}

function readSegment(input: NumberReader, state: Places, oldBlocks: number, coverage: Coverage): SegmentDraft {
  const to = times(input.count(SEGMENT_LIMIT), () => readMade(input, state, coverage));
  const blocks = blocksIn(to);
  if (blocks === 0 || blocks > SEGMENT_LIMIT) throw refuse(`a segment of ${blocks} blocks`);
  const place = { to: 0, from: 0 };
  const also = times(input.count(coverage.blocks), () => {
    const copy = readCopy(input, place, blocks);
    coverage.add(copy.to, copy.count);
    return copy;
  });
  const dictionary = times(input.count(DICTIONARY_LIMIT), () => readOld(input, state, oldBlocks));
  if (blocksIn(dictionary) > DICTIONARY_LIMIT) throw refuse(`a segment with ${blocksIn(dictionary)} old blocks`);
  const packedSize = input.count(packedBound(blocks * BLOCK));
  if (packedSize === 0) throw refuse('a segment without bytes');
  return { packedSize, sha256: input.bytes(32), to, also, dictionary, check: input.bytes(CHECK) };
}

function readMade(input: NumberReader, state: Places, coverage: Coverage): Extent {
  const first = state.made + input.count(Number.MAX_SAFE_INTEGER);
  const count = input.count(SEGMENT_LIMIT);
  coverage.add(first, count);
  state.made = first + count;
  return { first, count };
}

function readOld(input: NumberReader, state: Places, oldBlocks: number): Extent {
  const first = state.old + input.signed();
  const count = input.count(DICTIONARY_LIMIT);
  if (count === 0 || first < 0 || first + count > oldBlocks)
    throw refuse(`old blocks from ${first} to ${first + count}`);
  state.old = first + count;
  return { first, count };
}

type Coverage = Readonly<{ blocks: number; add(first: number, count: number): void; end(): void }>;

/** Checks that every new block is made exactly once. */
function createCoverage(blocks: number): Coverage {
  const made = new Uint8Array(blocks);
  let total = 0;
  const add = (first: number, count: number): void => {
    const end = first + count;
    if (count === 0 || end > blocks) throw refuse(`new blocks from ${first} to ${end} of ${blocks}`);
    if (made.subarray(first, end).includes(1)) throw refuse(`a new block from ${first} to ${end} is made twice`);
    made.fill(1, first, end);
    total += count;
  };
  const end = (): void => {
    if (total !== blocks) throw refuse(`${blocks - total} new blocks are not made`);
  };
  return { blocks, add, end };
}
