/** The blocks of a release: its root image, then its kernel image, as one sequence of 4096-byte blocks. */

import { UpdateError } from '../../errors.ts';
import type { Role } from '../../model.ts';
import { type Image, imageOf, type Manifest, rootOf } from '../manifest.ts';
import { BLOCK } from '../verity.ts';

/** An image in the sequence. `size` is in bytes; the last block is padded with zeros. */
export type VolumePart = Readonly<{ role: Role; first: number; blocks: number; size: number }>;

/** Without the verity tree, which is computed from them. */
export type Volume = Readonly<{ parts: readonly VolumePart[]; blocks: number }>;

/** Consecutive blocks of a volume. */
export type Extent = Readonly<{ first: number; count: number }>;

/** Where blocks are within their file, in blocks; those that were never written are zeros. */
export type PlacedExtent = Extent & Readonly<{ at: number; isWritten: boolean }>;

/** Reads blocks of a volume at any position. The result is unverified, and valid until the next call. */
export interface BlockReader {
  readonly blocks: number;
  read(first: number, count: number): Promise<Uint8Array>;
}

/** The volume of a release. It cannot contain a tree appended to the root image; such a release is sent in full. */
export function volumeOf(manifest: Manifest): Volume {
  const root = rootOf(manifest);
  if (root.verity.hashOffset !== undefined)
    throw new UpdateError('delta-unsupported', 'The verity tree is appended to the root image.');
  const uki = imageOf(manifest, 'uki');
  return volume([root, ...(uki === undefined ? [] : [uki])]);
}

/** The volume of images of these sizes, in this order. */
export function volume(images: readonly Pick<Image, 'role' | 'size'>[]): Volume {
  const parts: VolumePart[] = [];
  let first = 0;
  for (const { role, size } of images) {
    const blocks = Math.ceil(size / BLOCK);
    parts.push({ role, first, blocks, size });
    first += blocks;
  }
  return { parts, blocks: first };
}
