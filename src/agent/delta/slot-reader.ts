/** Reads a row of blocks from its partition and its file, whose last block is filled up with zeros. */

import { BLOCK } from '../../bundle/verity.ts';
import type { BlockReader, Volume } from '../../bundle/volume.ts';
import type { FileReader } from '../../reboot/bootloaders/uki-part.ts';
import type { BlockTarget } from '../../system/block-target.ts';

/** The root image lies at the beginning of `root`; where `uki` is shorter than its part of the row, zeros are read. */
export function slotReader({ blocks, parts }: Volume, root: BlockTarget, uki: FileReader | undefined): BlockReader {
  const rootBlocks = parts[0]?.blocks ?? 0;
  return {
    blocks,
    read: async (first, count) => {
      if (first + count <= rootBlocks) return root.read(first * BLOCK, count * BLOCK);
      const bytes = new Uint8Array(count * BLOCK);
      const ofRoot = Math.max(0, rootBlocks - first);
      if (ofRoot > 0) bytes.set(await root.read(first * BLOCK, ofRoot * BLOCK));
      const from = (first + ofRoot - rootBlocks) * BLOCK;
      const read = await uki?.read(from, (count - ofRoot) * BLOCK);
      if (read) bytes.set(read.subarray(0, bytes.length - ofRoot * BLOCK), ofRoot * BLOCK);
      return bytes;
    },
  };
}
