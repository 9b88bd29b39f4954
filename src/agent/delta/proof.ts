/** Reads the assembled slot back from the medium: it must give the signed root hash, and the tree that is built on the way becomes its tree. */

import type { DecodePool } from '../../bundle/decode-pool.ts';
import { imageOf, type Manifest, rootOf } from '../../bundle/manifest.ts';
import { BLOCK, createTreeBuilder, superblock, treeUuid } from '../../bundle/verity.ts';
import { UpdateError } from '../../errors.ts';
import { readBack } from '../../partitions/read-back.ts';
import type { BlockTarget } from '../../system/block-target.ts';
import { digestOf } from '../image-install.ts';

export type ProofJob = Readonly<{
  manifest: Manifest;
  root: BlockTarget;
  verity: BlockTarget;
  pool: Pick<DecodePool, 'digests'>;
  signal: AbortSignal;
  progress?: (bytes: number) => void;
}>;

/** The superblock of the tree was taken away when the assembly began; it is the last thing that is written. */
export async function proveSlot(job: ProofJob): Promise<void> {
  const { manifest, root, verity, pool, signal, progress } = job;
  const { salt, dataBlocks, rootHash } = rootOf(manifest).verity;
  const full: { offset: number; block: Uint8Array }[] = [];
  const tree = createTreeBuilder(salt, dataBlocks, (offset, block) => void full.push({ offset, block }));
  const write = async (): Promise<void> => {
    for (const { offset, block } of full.splice(0)) await verity.write(offset, block);
  };
  const judge = async (bytes: Uint8Array, offset: number): Promise<void> => {
    tree.addDigests(await pool.digests(salt, bytes));
    await write();
    progress?.(offset + bytes.length);
  };
  await readBack(root, dataBlocks * BLOCK, judge, { signal });
  const found = tree.finish();
  if (found !== rootHash) throw mismatch(`${root.name} gives the root hash ${found}, not ${rootHash}.`);
  await write();
  await verity.flush();
  await verity.write(0, superblock(salt, treeUuid(rootHash), dataBlocks));
  await verity.flush();
  const image = imageOf(manifest, 'verity');
  if (!image) throw mismatch('The release has no tree of its own.');
  const digest = await digestOf({ image, target: verity, signal });
  if (digest !== image.sha256) throw mismatch(`${verity.name} has the digest ${digest}, not ${image.sha256}.`);
}

const mismatch = (what: string): UpdateError => new UpdateError('delta-root-mismatch', what);
