/** The leaves of the verity tree, frame by frame, read from the tree's place; never the whole tree at once. */

import type { Image } from '../../bundle/manifest.ts';
import { DIGEST, leafDigestsAt, type TreeReader } from '../../bundle/verity.ts';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import type { BlockTarget } from '../../system/disk/block-target.ts';

export interface Leaves {
  readonly salt: Sha256;
  /** The digests of the blocks of one frame, 32 bytes each; valid until the next call. */
  of(frame: number): Promise<Uint8Array>;
}

/** The leaves of `root` in a tree that has already been checked. */
export function leavesOn(tree: BlockTarget, root: Image): Leaves {
  if (!root.verity) throw new UpdateError('manifest-invalid', 'The root image has no verity tree.');
  const { verity, frameSize } = root;
  const read: TreeReader = (offset, length) => tree.read(offset, length);
  const perFrame = frameSize / BLOCK;
  const perWindow = perFrame * WINDOW;
  // One buffer for all windows: a new one each would be megabytes of garbage before a collection.
  const window = new Uint8Array(perWindow * DIGEST);
  let loaded: number | undefined;

  const load = async (first: number): Promise<void> => {
    const count = Math.min(perWindow, verity.dataBlocks - first);
    window.set(await leafDigestsAt(read, verity, first, count));
    loaded = first;
  };

  return {
    salt: verity.salt,
    of: async (frame) => {
      const block = frame * perFrame;
      const first = Math.floor(block / perWindow) * perWindow;
      if (loaded !== first) await load(first);
      const at = (block - first) * DIGEST;
      return window.subarray(at, at + Math.min(perFrame, verity.dataBlocks - block) * DIGEST);
    },
  };
}

const BLOCK = 4096;
/** Frames whose leaves are read at once: 128 KiB of the tree. */
const WINDOW = 64;
