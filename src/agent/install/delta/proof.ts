/** Reads the assembled slot back from the medium: it must have the signed root hash, and the tree built on the way becomes its tree. */

import type { DecodePool } from '../../../bundle/decode/pool.ts';
import { type BlockSet, blockSet } from '../../../bundle/delta/copy.ts';
import { keepsPromise } from '../../../bundle/delta/short-leaves.ts';
import type { Volume } from '../../../bundle/image/volume.ts';
import { imageOf, type Manifest, rootOf } from '../../../bundle/manifest.ts';
import { BLOCK, createTreeBuilder, DIGEST, superblock, treeUuid } from '../../../bundle/verity.ts';
import { UpdateError } from '../../../errors.ts';
import { readBack } from '../../../partitions/read-back.ts';
import type { FileReader } from '../../../reboot/kernels/uki-file.ts';
import type { BlockTarget } from '../../../system/disk/block-target.ts';
import { digestOf } from '../image-install.ts';

export type ProofJob = Readonly<{
  manifest: Manifest;
  volume: Volume;
  root: BlockTarget;
  verity: BlockTarget;
  uki?: FileReader;
  /** The expected short leaf of each block of the volume; zeros where none is known. */
  promised: Uint8Array;
  pool: Pick<DecodePool, 'digests'>;
  signal: AbortSignal;
  progress?: (bytes: number) => void;
}>;

/**
 * The wrong blocks; if there are none, the slot is verified. The superblock of the tree was removed when the
 * assembly began, and is written last.
 */
export async function proveSlot(job: ProofJob): Promise<BlockSet> {
  const { manifest, volume, root, verity, promised, pool, signal, progress } = job;
  const { salt, dataBlocks, rootHash } = rootOf(manifest).verity;
  const wrong = blockSet(volume.blocks);
  const full: { offset: number; block: Uint8Array }[] = [];
  const tree = createTreeBuilder(salt, dataBlocks, (offset, block) => void full.push({ offset, block }));
  const write = async (): Promise<void> => {
    for (const { offset, block } of full.splice(0)) await verity.write(offset, block);
  };
  const judge = async (bytes: Uint8Array, offset: number): Promise<void> => {
    const digests = await pool.digests(salt, bytes);
    addWrong(wrong, promised, offset / BLOCK, digests);
    tree.addDigests(digests);
    await write();
    progress?.(offset + bytes.length);
  };
  await readBack(root, dataBlocks * BLOCK, judge, { signal });
  const found = tree.finish();
  await judgeUki(job, wrong);
  if (wrong.count > 0) return wrong;
  if (found !== rootHash) throw mismatch(`${root.name} has the root hash ${found}, not ${rootHash}.`);
  await write();
  await verity.flush();
  await verity.write(0, superblock(salt, treeUuid(rootHash), dataBlocks));
  await verity.flush();
  const image = imageOf(manifest, 'verity');
  if (!image) throw mismatch('The release has no separate tree.');
  const digest = await digestOf({ image, target: verity, signal });
  if (digest !== image.sha256) throw mismatch(`${verity.name} has the digest ${digest}, not ${image.sha256}.`);
  return wrong;
}

/** Its digest is compared when it gets its name; this only shows which of its blocks to fetch. */
async function judgeUki({ manifest, volume, uki, promised, pool, signal }: ProofJob, wrong: BlockSet): Promise<void> {
  const part = volume.parts[1];
  if (!part || !uki) return;
  const { salt } = rootOf(manifest).verity;
  for (let first = 0; first < part.blocks; first += PIECE) {
    signal.throwIfAborted();
    const bytes = new Uint8Array(Math.min(PIECE, part.blocks - first) * BLOCK);
    bytes.set((await uki.read(first * BLOCK, bytes.length)).subarray(0, bytes.length));
    addWrong(wrong, promised, part.first + first, await pool.digests(salt, bytes));
  }
}

function addWrong(wrong: BlockSet, promised: Uint8Array, first: number, digests: Uint8Array): void {
  for (let at = 0; at * DIGEST < digests.length; at += 1)
    if (!keepsPromise(digests, at, promised, first + at)) wrong.add(first + at);
}

const mismatch = (what: string): UpdateError => new UpdateError('delta-root-mismatch', what);

/** Blocks of the kernel image per read. */
const PIECE = 128;
