/** The free slot before it is written: blocks that are already correct need neither be fetched nor written. */

import type { DecodePool } from '../../../bundle/decode/pool.ts';
import { type BlockSet, blockSet, extentsWhere } from '../../../bundle/delta/copy.ts';
import type { BlockReader, Volume } from '../../../bundle/image/volume.ts';
import { parseSuperblock } from '../../../bundle/superblock.ts';
import { BLOCK, DIGEST, leafDigestsAt, treeLayout } from '../../../bundle/verity.ts';
import { UpdateError } from '../../../errors.ts';
import type { Sha256 } from '../../../model.ts';
import type { FileReader } from '../../../reboot/kernels/uki-file.ts';
import type { BlockTarget } from '../../../system/disk/block-target.ts';
import { slotReader } from './slot-reader.ts';

/** The free slot, for queries about its contents. */
export type Standing = Readonly<{
  /** 32 bytes per block: its digest, or the one in the slot's own tree; zeros where unknown. */
  leaves: Uint8Array;
  /** Those of `wanted` whose blocks have the digest in `leaves`. Never block 0: it is removed and written last. */
  prove(wanted: BlockSet): Promise<BlockSet>;
}>;

export type StandingSource = Readonly<{
  volume: Volume;
  salt: Sha256;
  root: BlockTarget;
  verity?: BlockTarget;
  uki?: FileReader;
  pool: Pick<DecodePool, 'digests'>;
  signal: AbortSignal;
  /** No earlier attempt to continue, so a slot without a superblock holds nothing. */
  isFirst: boolean;
  progress?: (blocks: number, total: number) => void;
}>;

/** Uses the slot's tree if it holds a complete image with the same salt; reads everything after an interrupted attempt. */
export async function readStanding(source: StandingSource): Promise<Standing> {
  const { volume, signal } = source;
  const reader = slotReader(volume, source.root, source.uki);
  const told = await leavesOfTree(source);
  const leaves = told ?? new Uint8Array(volume.blocks * DIGEST);
  const rootBlocks = volume.parts[0]?.blocks ?? 0;
  await hashRange(source, reader, told || source.isFirst ? rootBlocks : 0, volume.blocks, leaves);
  // Zeros read past the end of a file do not count as present.
  leaves.fill(0, (rootBlocks + blocksIn(source)) * DIGEST);
  const prove = async (wanted: BlockSet): Promise<BlockSet> => {
    const proven = blockSet(volume.blocks);
    for (const { first, count } of extentsWhere(volume.blocks, wanted.has)) {
      signal.throwIfAborted();
      const from = Math.max(first, 1);
      const until = first + count;
      if (!told || from >= rootBlocks) {
        proven.addRange(from, until - from);
        continue;
      }
      await proveRun(source, reader, leaves, from, Math.min(until, rootBlocks), proven);
      if (until > rootBlocks) proven.addRange(rootBlocks, until - rootBlocks);
    }
    return proven;
  };
  return { leaves, prove };
}

function blocksIn({ volume, uki }: StandingSource): number {
  const size = volume.parts[1]?.size ?? 0;
  const there = uki?.size ?? 0;
  return there >= size ? Math.ceil(size / BLOCK) : Math.floor(there / BLOCK);
}

/** Undefined if only a full read can tell: the first block is removed while a slot is being written. */
async function leavesOfTree({ volume, salt, root, verity }: StandingSource): Promise<Uint8Array | undefined> {
  const rootBlocks = volume.parts[0]?.blocks ?? 0;
  if (!verity || (await root.read(0, BLOCK)).every((byte) => byte === 0)) return undefined;
  try {
    const found = parseSuperblock((await verity.read(0, BLOCK)).slice(), verity.name);
    if (found.salt !== salt || treeLayout(found.dataBlocks).levels.length === 0) return undefined;
    const leaves = new Uint8Array(volume.blocks * DIGEST);
    const known = Math.min(found.dataBlocks, rootBlocks);
    for (let first = 0; first < known; first += LEAVES) {
      const count = Math.min(LEAVES, known - first);
      const read = (at: number, length: number) => verity.read(at, length);
      const tree = { rootHash: salt, dataBlocks: found.dataBlocks };
      leaves.set(await leafDigestsAt(read, tree, first, count), first * DIGEST);
    }
    return leaves;
  } catch (error) {
    if (error instanceof UpdateError && error.code === 'tree-unknown') return undefined;
    throw error;
  }
}

async function hashRange(
  source: StandingSource,
  reader: BlockReader,
  from: number,
  until: number,
  leaves: Uint8Array,
): Promise<void> {
  const { pool, salt, signal, progress } = source;
  for await (const { first, bytes } of readAhead(reader, from, until)) {
    signal.throwIfAborted();
    leaves.set(await pool.digests(salt, bytes), first * DIGEST);
    progress?.(first + bytes.length / BLOCK, until);
  }
}

async function proveRun(
  { pool, salt }: StandingSource,
  reader: BlockReader,
  leaves: Uint8Array,
  from: number,
  until: number,
  proven: BlockSet,
): Promise<void> {
  for await (const { first, bytes } of readAhead(reader, from, until)) {
    const found = await pool.digests(salt, bytes);
    for (let block = 0; block * DIGEST < found.length; block += 1)
      if (isSame(found, block, leaves, first + block)) proven.add(first + block);
  }
}

const isSame = (one: Uint8Array, at: number, other: Uint8Array, otherAt: number): boolean =>
  Buffer.compare(
    one.subarray(at * DIGEST, (at + 1) * DIGEST),
    other.subarray(otherAt * DIGEST, (otherAt + 1) * DIGEST),
  ) === 0;

/** Reads the next piece while this one is hashed. */
async function* readAhead(reader: BlockReader, from: number, until: number) {
  const read = (first: number) => (first < until ? reader.read(first, Math.min(PIECE, until - first)) : undefined);
  let next = read(from);
  try {
    for (let first = from; next; first += PIECE) {
      const bytes = await next;
      next = read(first + PIECE);
      next?.catch(() => undefined);
      yield { first, bytes };
    }
  } finally {
    await next?.catch(() => undefined);
  }
}

/** Blocks and leaves per read. */
const PIECE = 128;
const LEAVES = 16_384;
