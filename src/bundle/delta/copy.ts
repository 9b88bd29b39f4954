/** The source and destination of copied blocks, and sets of blocks. */

import type { Extent } from '../image/volume.ts';

/** `count` blocks of the new volume at `to` equal those of the old volume at `from`. */
export type Copy = Readonly<{ to: number; from: number; count: number }>;

/** A set of blocks of a volume, as a bitmap. */
export interface BlockSet {
  /** The number of blocks in the volume. */
  readonly size: number;
  /** The number of blocks in the set. */
  readonly count: number;
  has(block: number): boolean;
  add(block: number): void;
  addRange(first: number, count: number): void;
  remove(block: number): void;
  /** The blocks outside the set, in order. */
  missingRuns(): Extent[];
}

/** An empty set. */
export function blockSet(size: number): BlockSet {
  const bits = new Uint8Array(Math.ceil(size / 8));
  let count = 0;

  const has = (block: number): boolean => (((bits[block >> 3] ?? 0) >> (block & 7)) & 1) === 1;

  const flip = (block: number): void => {
    if (block < 0 || block >= size) throw new RangeError(`Block ${block} is not one of ${size}.`);
    bits[block >> 3] = (bits[block >> 3] ?? 0) ^ (1 << (block & 7));
  };

  const add = (block: number): void => {
    if (has(block)) return;
    flip(block);
    count += 1;
  };

  const remove = (block: number): void => {
    if (!has(block)) return;
    flip(block);
    count -= 1;
  };

  return {
    size,
    get count() {
      return count;
    },
    has,
    add,
    addRange: (first, blocks) => {
      for (let block = first; block < first + blocks; block += 1) add(block);
    },
    remove,
    missingRuns: () => extentsWhere(size, (block) => !has(block)),
  };
}

/** The maximal runs of blocks below `size` for which `wanted` is true. */
export function extentsWhere(size: number, wanted: (block: number) => boolean): Extent[] {
  const extents: Extent[] = [];
  let first = -1;
  for (let block = 0; block <= size; block += 1) {
    const inside = block < size && wanted(block);
    if (inside && first < 0) first = block;
    if (inside || first < 0) continue;
    extents.push({ first, count: block - first });
    first = -1;
  }
  return extents;
}
