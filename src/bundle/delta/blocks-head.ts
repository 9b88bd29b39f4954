/** The head of a blocks file: the groups of leaves, the blocks in the news, and the digests that verify both. */

import { FRAME_LIMIT } from '../decode/decode.ts';
import { compressedBound } from '../frames.ts';
import type { Volume } from '../image/volume.ts';
import { BLOCK, DIGEST } from '../verity.ts';
import { blockSet } from './copy.ts';
import { BLOCKS_LIMIT, invalid, packHead, unpackHead } from './delta-file.ts';
import { GROUP_LIMIT, type Groups } from './groups.ts';
import { type NumberReader, numberReader, numberWriter } from './numbers.ts';
import { SHORT } from './short-leaves.ts';

/** The frames of the news: frame `n` holds news `firsts[n]` to `firsts[n + 1]`; its compressed bytes are at `offsets[n]` to `offsets[n + 1]` in the file. */
export type NewsFrames = Readonly<{
  count: number;
  firsts: Uint32Array;
  offsets: Float64Array;
  /** Of the compressed bytes. */
  sha256(frame: number): Uint8Array;
}>;

/** A verified head. In the file, the leaves follow it, then the news. */
export type BlocksHead = Readonly<{
  /** The size of the head, where the leaves start. */
  size: number;
  /** The size of the whole file. */
  fileSize: number;
  groups: Groups;
  /** Of all short leaves, concatenated. */
  leavesSha256: Uint8Array;
  /** For each block of the news, its number in the volume; no duplicates. */
  news: Uint32Array;
  frames: NewsFrames;
}>;

/** The builder's input for a head. */
export type HeadParts = Readonly<{
  groups: Groups;
  leavesSha256: Uint8Array;
  news: Uint32Array;
  frames: readonly NewsFrame[];
}>;

/** A frame of the news: its blocks, and size and SHA-256 of its compressed bytes. */
export type NewsFrame = Readonly<{ blocks: number; packedSize: number; sha256: Uint8Array }>;

/** Encodes a head; deterministic. */
export function serializeBlocksHead({ groups, leavesSha256, news, frames }: HeadParts): Uint8Array {
  const runs = runsOf(news);
  const counts = Uint8Array.from(groups.firsts.subarray(1), (end, group) => end - (groups.firsts[group] ?? 0));
  const out = numberWriter();
  for (const number of [groups.firsts.at(-1) ?? 0, counts.length, frames.length, runs.length]) out.count(number);
  out.bytes(leavesSha256);
  out.bytes(counts);
  out.bytes(groups.digests);
  for (const { blocks } of frames) out.count(blocks);
  for (const { packedSize } of frames) out.count(packedSize);
  for (const { sha256 } of frames) out.bytes(sha256);
  for (const { gap, count } of runs) {
    out.signed(gap);
    out.count(count - 1);
  }
  return packHead(MAGIC, out.finish());
}

/** Decodes a head, which must fit the volume; throws `delta-invalid`. */
export function parseBlocksHead(bytes: Uint8Array, volume: Volume): BlocksHead {
  if (volume.blocks > BLOCKS_LIMIT) throw invalid(`the release has ${volume.blocks} blocks, more than ${BLOCKS_LIMIT}`);
  const input = numberReader(unpackHead(MAGIC, bytes, plainLimit(volume.blocks)), invalid);
  const blocks = input.count(BLOCKS_LIMIT);
  if (blocks !== volume.blocks) throw invalid(`it is for ${blocks} blocks; the release has ${volume.blocks}`);
  const [groupCount, frameCount, runCount] = [input.count(blocks), input.count(blocks), input.count(blocks)];
  const leavesSha256 = input.bytes(DIGEST);
  const groups = readGroups(input, groupCount, blocks);
  const frames = readFrames(input, frameCount, bytes.length + blocks * SHORT);
  const news = readNews(input, runCount, frames.firsts[frameCount] ?? 0, blocks);
  input.end();
  const fileSize = frames.offsets[frameCount] ?? 0;
  return { size: bytes.length, fileSize, groups, leavesSha256, news, frames };
}

const MAGIC = 'tdblock1';

/** The most per block: a group, a frame and a run of the news. */
const plainLimit = (blocks: number): number => 20 + DIGEST + blocks * (1 + SHORT + 2 + 4 + DIGEST + 5 + 5);

function readGroups(input: NumberReader, count: number, blocks: number): Groups {
  const counts = input.bytes(count);
  const firsts = new Uint32Array(count + 1);
  let end = 0;
  for (const [group, size] of counts.entries()) {
    if (size === 0 || size > GROUP_LIMIT) throw invalid(`group ${group} has ${size} leaves`);
    end += size;
    firsts[group + 1] = end;
  }
  if (end !== blocks) throw invalid(`its groups have ${end} leaves, not ${blocks}`);
  return { firsts, digests: input.bytes(count * SHORT) };
}

function readFrames(input: NumberReader, count: number, bodyAt: number): NewsFrames {
  const firsts = new Uint32Array(count + 1);
  const offsets = new Float64Array(count + 1).fill(bodyAt, 0, 1);
  for (let frame = 0; frame < count; frame += 1) {
    const blocks = input.count(FRAME_LIMIT / BLOCK);
    if (blocks === 0) throw invalid(`frame ${frame} has ${blocks} blocks`);
    firsts[frame + 1] = (firsts[frame] ?? 0) + blocks;
  }
  for (let frame = 0; frame < count; frame += 1) {
    const size = input.count(compressedBound(FRAME_LIMIT));
    const bound = compressedBound(((firsts[frame + 1] ?? 0) - (firsts[frame] ?? 0)) * BLOCK);
    if (size === 0 || size > bound) throw invalid(`frame ${frame} has ${size} bytes; from 1 to ${bound} are possible`);
    offsets[frame + 1] = (offsets[frame] ?? 0) + size;
  }
  const digests = input.bytes(count * DIGEST);
  return { count, firsts, offsets, sha256: (frame) => digests.subarray(frame * DIGEST, (frame + 1) * DIGEST) };
}

function readNews(input: NumberReader, runs: number, expected: number, blocks: number): Uint32Array {
  if (expected > blocks) throw invalid(`its frames have ${expected} blocks; the release has ${blocks}`);
  const news = new Uint32Array(expected);
  const seen = blockSet(blocks);
  let filled = 0;
  for (let run = 0, end = 0; run < runs; run += 1) {
    const gap = input.signed();
    const [first, count] = [end + gap, input.count(blocks) + 1];
    // A run that continues the previous one must be part of it.
    if ((gap === 0 && run > 0) || first < 0 || first + count > blocks || filled + count > expected)
      throw invalid(`run ${run} of its news is ${count} blocks at ${first}`);
    for (let block = first; block < first + count; block += 1) news[filled++] = unseen(seen, block);
    end = first + count;
  }
  if (filled !== expected) throw invalid(`its frames have ${expected} blocks, its news ${filled}`);
  return news;
}

function unseen(seen: ReturnType<typeof blockSet>, block: number): number {
  if (seen.has(block)) throw invalid(`block ${block} is in the news twice`);
  seen.add(block);
  return block;
}

type Run = Readonly<{ gap: number; count: number }>;

/** The news as runs of consecutive blocks, each as the distance from the end of the previous one. */
function runsOf(news: Uint32Array): Run[] {
  const runs: Run[] = [];
  for (let at = 0, end = 0; at < news.length; ) {
    const first = news[at] ?? 0;
    let count = 1;
    while (news[at + count] === first + count) count += 1;
    runs.push({ gap: first - end, count });
    end = first + count;
    at += count;
  }
  return runs;
}
