/** Reads a row of blocks from its partition and its file, whose last block is padded with zeros. */

import type { BlockReader, Volume } from '../../../bundle/image/volume.ts';
import { BLOCK } from '../../../bundle/verity.ts';
import type { FileReader } from '../../../reboot/kernels/uki-file.ts';
import type { BlockTarget } from '../../../system/disk/block-target.ts';

/** A reader for several pieces at a time. */
export type SlotReader = BlockReader &
  Readonly<{
    /** Fills this aligned memory with blocks from `first` on. */
    readInto(first: number, into: Uint8Array): Promise<void>;
  }>;

/** The root image starts at the beginning of `root`; past the end of `uki`, zeros are read. */
export function slotReader({ blocks, parts }: Volume, root: BlockTarget, uki: FileReader | undefined): SlotReader {
  const rootBlocks = parts[0]?.blocks ?? 0;
  const read = async (first: number, count: number): Promise<Uint8Array> => {
    if (first + count <= rootBlocks) return root.read(first * BLOCK, count * BLOCK);
    const bytes = new Uint8Array(count * BLOCK);
    const ofRoot = Math.max(0, rootBlocks - first);
    if (ofRoot > 0) bytes.set(await root.read(first * BLOCK, ofRoot * BLOCK));
    const from = (first + ofRoot - rootBlocks) * BLOCK;
    const rest = await uki?.read(from, (count - ofRoot) * BLOCK);
    if (rest) bytes.set(rest.subarray(0, bytes.length - ofRoot * BLOCK), ofRoot * BLOCK);
    return bytes;
  };
  return {
    blocks,
    read,
    readInto: async (first, into) => {
      const isOfRoot = first * BLOCK + into.length <= rootBlocks * BLOCK;
      if (isOfRoot && root.readInto) await root.readInto(first * BLOCK, into);
      else into.set(await read(first, into.length / BLOCK));
    },
  };
}
