/** Divides the new blocks of a release into segments, cut at the ends of files where possible. */

import type { BlockReader, Extent } from '../image/volume.ts';
import { BLOCK } from '../verity.ts';

/** New blocks sent together. `first` counts new blocks, not blocks of the volume. */
export type Gathered = Readonly<{ first: number; to: readonly Extent[]; plain: Uint8Array }>;

/** Blocks per segment; the last one may have fewer. */
export type CutSize = Readonly<{ least: number; most: number }>;

/** The segments of `news`, in order. Their bytes are owned by the caller. */
export async function* gatherSegments(
  blocks: BlockReader,
  news: Uint32Array,
  { least, most }: CutSize,
): AsyncGenerator<Gathered> {
  const window = new Uint8Array(most * BLOCK);
  for (let first = 0, have = 0; first < news.length; ) {
    const wanted = Math.min(most, news.length - first);
    await fill(blocks, extentsOf(news.subarray(first + have, first + wanted)), window.subarray(have * BLOCK));
    const count = wanted < most ? wanted : cutOf(window, least, most);
    yield { first, to: extentsOf(news.subarray(first, first + count)), plain: window.slice(0, count * BLOCK) };
    window.copyWithin(0, count * BLOCK);
    have = wanted - count;
    first += count;
  }
}

/** Consecutive blocks as extents. */
export function extentsOf(blocks: Uint32Array): Extent[] {
  const extents: Extent[] = [];
  for (const block of blocks) {
    const last = extents.at(-1);
    if (last !== undefined && last.first + last.count === block)
      extents[extents.length - 1] = { first: last.first, count: last.count + 1 };
    else extents.push({ first: block, count: 1 });
  }
  return extents;
}

/** Reads extents, one after the other, into `into`. */
export async function fill(blocks: BlockReader, extents: readonly Extent[], into: Uint8Array): Promise<void> {
  let at = 0;
  for (const { first, count } of extents) {
    into.set(await blocks.read(first, count), at);
    at += count * BLOCK;
  }
}

/** After the last block that seems to end a file: the rest belongs to another file, and to other old blocks. */
function cutOf(window: Uint8Array, least: number, most: number): number {
  for (let count = most; count >= least; count -= 1)
    if (window.subarray(count * BLOCK - TAIL, count * BLOCK).every((byte) => byte === 0)) return count;
  return most;
}

/** Trailing zeros with which a block looks like the end of a file. */
const TAIL = 8;
