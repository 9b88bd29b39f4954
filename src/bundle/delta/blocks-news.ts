/** The news of a release: which blocks they are, in which order, and the frames that hold them. */

import { hash } from 'node:crypto';
import type { ScratchFile } from '../../system/scratch.ts';
import { compressAll } from '../compress.ts';
import { BLOCK } from '../verity.ts';
import type { BlockReader } from '../volume.ts';
import type { NewsFrame } from './blocks-head.ts';
import { lookup, SHORT } from './short-leaves.ts';

/** Blocks of the volume, each content once. From one of `starts` up to the next they are of one class. */
export type News = Readonly<{ blocks: Uint32Array; starts: readonly number[] }>;

/**
 * The blocks that not all older releases have. Class 0 are those that the newest older release lacks, class 1 those that it has and
 * the one before it lacks, and so on: what a host on any of them needs lies at the beginning, up to the end of its class. `older` are
 * rows of short leaves, newest first.
 */
export function chooseNews(shorts: Uint8Array, older: readonly Uint8Array[], isZero: (block: number) => boolean): News {
  const count = shorts.length / SHORT;
  const all = lookup(shorts);
  const open = new Uint8Array(count).fill(1);
  for (let block = 0; block < count; block += 1)
    if (isZero(block) || all.find(shorts, block) !== block) open[block] = 0;
  const blocks = new Uint32Array(count);
  const starts: number[] = [];
  let used = 0;
  for (const row of older) {
    const there = lookup(row);
    starts.push(used);
    for (let block = 0; block < count; block += 1) {
      if (open[block] === 0 || there.find(shorts, block) >= 0) continue;
      open[block] = 0;
      blocks[used++] = block;
    }
  }
  return { blocks: blocks.slice(0, used), starts };
}

/** How news are cut into frames, in blocks: no frame has more than `most`, and from `least` on one ends where a file does. */
export type NewsCut = Readonly<{ least: number; most: number }>;

export type NewsOptions = Readonly<{
  cut: NewsCut;
  level: number;
  signal: AbortSignal;
  /** Bytes of the news compressed so far, of how many. */
  progress?: (done: number, total: number) => void;
}>;

/** Appends the frames of the news to `file`. */
export async function packNews(
  reader: BlockReader,
  news: News,
  file: ScratchFile,
  { cut, level, signal, progress }: NewsOptions,
): Promise<NewsFrame[]> {
  const frames: NewsFrame[] = [];
  let done = 0;
  for await (const { plain, packed } of compressAll(plainFrames(reader, news, cut), level)) {
    signal.throwIfAborted();
    frames.push({
      blocks: plain.length / BLOCK,
      packedSize: packed.length,
      sha256: hash('sha256', packed, 'buffer'),
    });
    await file.write(file.size, packed);
    done += plain.length;
    progress?.(done, news.blocks.length * BLOCK);
  }
  return frames;
}

async function* plainFrames(reader: BlockReader, news: News, { least, most }: NewsCut): AsyncGenerator<Uint8Array> {
  const starts = new Set(news.starts);
  let frame = new Uint8Array(most * BLOCK);
  let used = 0;
  for await (const { at, bytes } of newsBlocks(reader, news.blocks)) {
    frame.set(bytes, used * BLOCK);
    used += 1;
    const last = at + 1 === news.blocks.length || starts.has(at + 1);
    if (!last && used < most && (used < least || !endsFile(bytes))) continue;
    yield frame.subarray(0, used * BLOCK);
    // The one before is still being compressed.
    frame = new Uint8Array(most * BLOCK);
    used = 0;
  }
}

async function* newsBlocks(
  reader: BlockReader,
  blocks: Uint32Array,
): AsyncGenerator<Readonly<{ at: number; bytes: Uint8Array }>> {
  for (let at = 0; at < blocks.length; ) {
    const first = blocks[at] ?? 0;
    let count = 1;
    while (count < READ_BLOCKS && blocks[at + count] === first + count) count += 1;
    const bytes = await reader.read(first, count);
    for (let n = 0; n < count; n += 1) yield { at: at + n, bytes: bytes.subarray(n * BLOCK, (n + 1) * BLOCK) };
    at += count;
  }
}

/** The last block of a file is filled up with zeros. */
const endsFile = (block: Uint8Array): boolean => block.subarray(-TAIL).every((byte) => byte === 0);

const TAIL = 16;
const READ_BLOCKS = 64;
