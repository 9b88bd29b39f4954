/** Classifies the blocks of a new volume: present anywhere in the old one, new, or a repeat of a new one. */

import { DIGEST } from '../verity.ts';
import { type Copy, extentsWhere } from './copy.ts';
import { lookup, shorten } from './short-leaves.ts';

/** `news` in order, each content once. `repeats`: further places for the content of a new block, as pairs of new blocks. */
export type PatchMoves = Readonly<{ copies: readonly Copy[]; news: Uint32Array; repeats: readonly Copy[] }>;

/** Classifies each block of the new volume. Leaves are 32 bytes per block; `zeroLeaf` is that of a block of zeros. */
export function patchMoves(from: Uint8Array, to: Uint8Array, zeroLeaf: Uint8Array): PatchMoves {
  const sources = sourcesIn(from, to, zeroLeaf);
  const copies: Copy[] = [];
  const missing: number[] = [];
  for (const [block, source] of sources.entries())
    if (source < 0) missing.push(block);
    else addPair(copies, block, source);
  return { copies, ...withoutRepeats(to, Uint32Array.from(missing)) };
}

/** Extends the last run if the pair continues it. */
export function addPair(runs: Copy[], to: number, from: number): void {
  const last = runs.at(-1);
  if (last !== undefined && last.to + last.count === to && last.from + last.count === from)
    runs[runs.length - 1] = { ...last, count: last.count + 1 };
  else runs.push({ to, from, count: 1 });
}

/** For each new block an old one with the same content, or -1. Keeps runs together. */
function sourcesIn(from: Uint8Array, to: Uint8Array, zeroLeaf: Uint8Array): Int32Array {
  const blocks = to.length / DIGEST;
  const old = from.length / DIGEST;
  const shorts = shorten(to);
  const found = lookup(shorten(from));
  const zeros = longestRun(from, zeroLeaf);
  const sources = new Int32Array(blocks);
  for (let block = 0; block < blocks; block += 1) {
    const next = block > 0 && (sources[block - 1] as number) >= 0 ? (sources[block - 1] as number) + 1 : old;
    if (next < old && sameLeaf(to, block, from, next)) sources[block] = next;
    else if (zeros >= 0 && sameLeaf(to, block, zeroLeaf, 0)) sources[block] = zeros;
    else sources[block] = checked(from, found.find(shorts, block), to, block);
  }
  return sources;
}

/** Short leaves of different blocks can be equal. */
const checked = (from: Uint8Array, source: number, to: Uint8Array, block: number): number =>
  source >= 0 && sameLeaf(to, block, from, source) ? source : -1;

function sameLeaf(ones: Uint8Array, a: number, others: Uint8Array, b: number): boolean {
  for (let at = 0; at < DIGEST; at += 1) if (ones[a * DIGEST + at] !== others[b * DIGEST + at]) return false;
  return true;
}

/** Prefers the place where most blocks with this leaf are adjacent, so that many zeros become one copy. */
function longestRun(leaves: Uint8Array, leaf: Uint8Array): number {
  const runs = extentsWhere(leaves.length / DIGEST, (block) => sameLeaf(leaves, block, leaf, 0));
  return runs.reduce((best, run) => (run.count > best.count ? run : best), { first: -1, count: 0 }).first;
}

function withoutRepeats(leaves: Uint8Array, missing: Uint32Array): Pick<PatchMoves, 'news' | 'repeats'> {
  const shorts = shorten(leaves);
  const firsts = lookup(shorts, missing);
  const repeats: Copy[] = [];
  const news = missing.filter((block) => {
    const first = firsts.find(shorts, block);
    if (first === block || !sameLeaf(leaves, block, leaves, first)) return true;
    addPair(repeats, block, first);
    return false;
  });
  return { news, repeats };
}
