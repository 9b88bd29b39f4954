/** The first bytes of leaves: enough to find a block elsewhere, because the root hash finally decides whether it was the right one. */

import { DIGEST } from '../verity.ts';

/** The size of a short leaf, in bytes. */
export const SHORT = 8;

/** An index of blocks by short leaf. */
export interface ShortLookup {
  /** The short leaves of the indexed volume. */
  readonly shorts: Uint8Array;
  readonly blocks: number;
  /** A block of that volume with the same short leaf as block `index` of `shorts`; deterministic; -1 if there is none. */
  find(shorts: Uint8Array, index: number): number;
}

/** Shortens 32-byte leaves. */
export function shorten(leaves: Uint8Array): Uint8Array {
  const blocks = leaves.length / DIGEST;
  const shorts = new Uint8Array(blocks * SHORT);
  for (let block = 0; block < blocks; block += 1)
    for (let at = 0; at < SHORT; at += 1) shorts[block * SHORT + at] = leaves[block * DIGEST + at] ?? 0;
  return shorts;
}

/** Whether block `a` of one row and block `b` of the other have the same short leaf. */
export function sameShort(ones: Uint8Array, a: number, others: Uint8Array, b: number): boolean {
  const [one, other] = [a * SHORT, b * SHORT];
  return word(ones, one) === word(others, other) && word(ones, one + SHORT / 2) === word(others, other + SHORT / 2);
}

/** Whether a 32-byte digest starts with the given short leaf; an all-zero leaf never matches. */
export function keepsPromise(digests: Uint8Array, at: number, promised: Uint8Array, block: number): boolean {
  const short = block * SHORT;
  const [high, low] = [word(promised, short), word(promised, short + SHORT / 2)];
  if (high === 0 && low === 0) return true;
  return word(digests, at * DIGEST) === high && word(digests, at * DIGEST + SHORT / 2) === low;
}

/** Indexes blocks by `shorts`; of equal ones, the first is found. With `among`, only its blocks. */
export function lookup(shorts: Uint8Array, among?: Uint32Array): ShortLookup {
  const blocks = shorts.length / SHORT;
  const entries = among?.length ?? blocks;
  const mask = 2 ** Math.ceil(Math.log2(Math.max(2, entries * SPARSE))) - 1;
  // Block number plus one, so that zero is an empty place.
  const table = new Uint32Array(mask + 1);

  /** The place of the block, or the empty place for it. */
  const placeOf = (wanted: Uint8Array, index: number): number => {
    for (let place = spread(wanted, index) & mask; ; place = (place + 1) & mask) {
      const found = table[place] ?? 0;
      if (found === 0 || sameShort(shorts, found - 1, wanted, index)) return place;
    }
  };

  for (let entry = 0; entry < entries; entry += 1) {
    const block = among === undefined ? entry : (among[entry] ?? 0);
    const place = placeOf(shorts, block);
    if (table[place] === 0) table[place] = block + 1;
  }
  return { shorts, blocks, find: (wanted, index) => (table[placeOf(wanted, index)] ?? 0) - 1 };
}

/** Places per entry, before rounding to a power of two: 6 to 12 bytes per block in all. */
const SPARSE = 1.5;

function spread(shorts: Uint8Array, index: number): number {
  const at = index * SHORT;
  const mixed = Math.imul(word(shorts, at) ^ Math.imul(word(shorts, at + SHORT / 2), 0x85ebca6b), 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
