/** Reads a slot from the medium and checks every block against the root hash in its boot entry. */

import { parseSuperblock } from '../../bundle/superblock.ts';
import { BLOCK, createTreeBuilder } from '../../bundle/verity.ts';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import { readBack } from '../../partitions/read-back.ts';
import type { BlockTarget } from '../../system/disk/block-target.ts';
import type { Told } from './installer.ts';

/** Salt and size come from the tree's superblock; a wrong superblock cannot give the right root hash. */
export async function scrubSlot(
  slot: Readonly<{ root: BlockTarget; verity?: BlockTarget }>,
  rootHash: Sha256,
  told: Told,
  signal: AbortSignal,
): Promise<void> {
  if (!slot.verity)
    throw new UpdateError('no-way-back', 'The other slot has no partition with a verity tree to check it against.');
  const { salt, dataBlocks } = parseSuperblock(await slot.verity.read(0, BLOCK), slot.verity.name);
  const size = dataBlocks * BLOCK;
  if (size > slot.root.size)
    throw new UpdateError('no-way-back', `${slot.verity.name} holds the tree of a larger image.`);
  const tree = createTreeBuilder(salt, dataBlocks);
  const judge = (bytes: Uint8Array, offset: number): void => {
    tree.addBlocks(bytes);
    told('read-back', offset + bytes.length, size);
  };
  await readBack(slot.root, size, judge, { signal });
  if (tree.finish() !== rootHash)
    throw new UpdateError(
      'no-way-back',
      `${slot.root.name} is damaged: its root hash is not the one in its boot entry.`,
    );
}
