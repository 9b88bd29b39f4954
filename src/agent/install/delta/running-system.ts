/** The running system as one row of blocks, from which a new release reuses the shared ones. The blocks are unverified. */

import { createHash } from 'node:crypto';
import type { DecodePool } from '../../../bundle/decode/pool.ts';
import { SHORT, shorten } from '../../../bundle/delta/short-leaves.ts';
import { type Volume, volume } from '../../../bundle/image/volume.ts';
import { parseSuperblock } from '../../../bundle/superblock.ts';
import { BLOCK, leafDigestsAt } from '../../../bundle/verity.ts';
import { UpdateError } from '../../../errors.ts';
import type { Sha256 } from '../../../model.ts';
import type { FileReader } from '../../../reboot/kernels/uki-file.ts';
import type { BlockTarget } from '../../../system/disk/block-target.ts';
import { type SlotReader, slotReader } from './slot-reader.ts';

/** Its partitions and its UKI, opened for reading. */
export interface RunningSystem extends AsyncDisposable {
  readonly rootHash: Sha256;
  readonly root: BlockTarget;
  readonly verity?: BlockTarget;
  readonly uki?: FileReader;
}

/** `shorts` are the short leaves from its tree, and those of its UKI as read. */
export type OldVolume = Readonly<{ volume: Volume; salt: Sha256; shorts: Uint8Array; reader: SlotReader }>;

/** The row of its blocks; refuses a system whose tree is unusable. */
export async function readOldVolume(
  running: RunningSystem,
  pool: Pick<DecodePool, 'digests'>,
  signal: AbortSignal,
): Promise<OldVolume> {
  const { root, verity, uki } = running;
  if (!verity) throw new UpdateError('delta-unsupported', 'The running system has no partition with a verity tree.');
  const { salt, dataBlocks } = parseSuperblock((await verity.read(0, BLOCK)).slice(), verity.name);
  if (dataBlocks * BLOCK > root.size)
    throw new UpdateError('delta-unsupported', `${verity.name} holds the tree of a larger image.`);
  const images = [{ role: 'root' as const, size: dataBlocks * BLOCK }];
  const row = volume(uki ? [...images, { role: 'uki' as const, size: uki.size }] : images);
  const reader = slotReader(row, root, uki);
  const shorts = new Uint8Array(row.blocks * SHORT);
  await readTree(running, verity, dataBlocks, shorts, signal);
  for (let first = dataBlocks; first < row.blocks; first += PIECE) {
    signal.throwIfAborted();
    const blocks = await reader.read(first, Math.min(PIECE, row.blocks - first));
    shorts.set(shorten(await pool.digests(salt, blocks)), first * SHORT);
  }
  return { volume: row, salt: salt as Sha256, shorts, reader };
}

/** The SHA-256 of its UKI. */
export async function ukiDigest({ uki }: RunningSystem, signal: AbortSignal): Promise<Sha256 | undefined> {
  if (!uki) return undefined;
  const digest = createHash('sha256');
  for (let offset = 0; offset < uki.size; offset += PIECE * BLOCK) {
    signal.throwIfAborted();
    digest.update(await uki.read(offset, PIECE * BLOCK));
  }
  return digest.digest('hex') as Sha256;
}

/** An unreadable piece of the tree says nothing about its blocks: they are fetched. */
async function readTree(
  { rootHash }: RunningSystem,
  verity: BlockTarget,
  dataBlocks: number,
  shorts: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  for (let first = 0; first < dataBlocks; first += LEAVES) {
    signal.throwIfAborted();
    const count = Math.min(LEAVES, dataBlocks - first);
    const leaves = await leafDigestsAt(
      (at, length) => verity.read(at, length),
      { rootHash, dataBlocks },
      first,
      count,
    ).catch(() => undefined);
    if (leaves) shorts.set(shorten(leaves), first * SHORT);
  }
}

/** Blocks and leaves per read. */
const PIECE = 256;
const LEAVES = 16_384;
