/** The dm-verity tree (format 1, SHA-256, 4096-byte blocks): built in one pass, identical to veritysetup's. */

import { createHash, hash } from 'node:crypto';
import type { Product, Sha256 } from '../model.ts';

export const BLOCK = 4096;
export const DIGEST = 32;

/** The position of one level in the tree, superblock included. */
export type TreeLevel = Readonly<{ offset: number; blocks: number }>;
/** `levels[0]` are the leaves: the digests of the data blocks. An image of one block has no levels. */
export type TreeLayout = Readonly<{ levels: readonly TreeLevel[]; size: number }>;

/** Receives the blocks of an image in order; `finish` returns the root hash. */
export type TreeBuilder = Readonly<{
  /** Whole blocks of the image. */
  addBlocks(bytes: Uint8Array): void;
  /** Digests of the next blocks, already computed. */
  addDigests(digests: Uint8Array): void;
  finish(): Sha256;
}>;

/** Receives each completed block of the tree, and owns the bytes. */
export type TreeSink = (offset: number, block: Uint8Array) => void;

/** One salt per product, so that equal blocks of two releases have equal digests. */
export const saltFor = (product: Product): Sha256 => hash('sha256', `tandem salt ${product}`, 'hex') as Sha256;

/** The levels follow the superblock, the top level first. */
export function treeLayout(dataBlocks: number): TreeLayout {
  const counts: number[] = [];
  for (let blocks = dataBlocks; blocks > 1; blocks = Math.ceil(blocks / FANOUT))
    counts.push(Math.ceil(blocks / FANOUT));
  const levels: TreeLevel[] = [];
  let offset = BLOCK;
  for (const blocks of counts.reverse()) {
    levels.unshift({ offset, blocks });
    offset += blocks * BLOCK;
  }
  return { levels, size: offset };
}

/** The digests of whole blocks, 32 bytes each. */
export function blockDigests(salt: Uint8Array, blocks: Uint8Array): Uint8Array {
  const scratch = saltedBlock(salt);
  const digests = Buffer.alloc((blocks.length / BLOCK) * DIGEST);
  for (let index = 0; index * BLOCK < blocks.length; index += 1)
    digests.write(digestOf(scratch, blocks, index), index * DIGEST, 'binary');
  return new Uint8Array(digests.buffer, digests.byteOffset, digests.length);
}

/** Builds the tree over `dataBlocks` blocks with one block of memory per level; `sink` receives its blocks, except the superblock. */
export function createTreeBuilder(saltHex: string, dataBlocks: number, sink: TreeSink = () => {}): TreeBuilder {
  const salt = Buffer.from(saltHex, 'hex');
  const { levels } = treeLayout(dataBlocks);
  const open = levels.map(() => ({ block: new Uint8Array(BLOCK), used: 0, done: 0 }));
  let seen = 0;
  let root: Uint8Array = new Uint8Array(0);

  const close = (level: number): void => {
    const state = open[level];
    if (state === undefined || state.used === 0) return;
    const { block } = state;
    sink((levels[level]?.offset ?? 0) + state.done * BLOCK, block);
    Object.assign(state, { block: new Uint8Array(BLOCK), used: 0, done: state.done + 1 });
    add(level + 1, blockDigests(salt, block));
  };

  const add = (level: number, digest: Uint8Array): void => {
    const state = open[level];
    if (state === undefined) {
      root = new Uint8Array(digest);
      return;
    }
    state.block.set(digest, state.used);
    state.used += DIGEST;
    if (state.used === BLOCK) close(level);
  };

  const addDigests = (digests: Uint8Array): void => {
    seen += digests.length / DIGEST;
    for (let at = 0; at < digests.length; at += DIGEST) add(0, digests.subarray(at, at + DIGEST));
  };

  return {
    addDigests,
    addBlocks: (bytes) => addDigests(blockDigests(salt, bytes)),
    finish: () => {
      if (seen !== dataBlocks) throw new RangeError(`The tree is for ${dataBlocks} blocks; ${seen} were given.`);
      for (const level of levels.keys()) close(level);
      return Buffer.from(root).toString('hex') as Sha256;
    },
  };
}

/** The superblock, as veritysetup writes it. */
export function superblock(saltHex: string, uuid: Uint8Array, dataBlocks: number): Uint8Array {
  const block = Buffer.alloc(BLOCK);
  block.write('verity\0\0', 0, 'latin1');
  block.writeUInt32LE(1, 8);
  block.writeUInt32LE(1, 12);
  block.set(uuid.subarray(0, 16), 16);
  block.write('sha256', 32, 'latin1');
  block.writeUInt32LE(BLOCK, 64);
  block.writeUInt32LE(BLOCK, 68);
  block.writeBigUInt64LE(BigInt(dataBlocks), 72);
  block.writeUInt16LE(saltHex.length / 2, 80);
  block.write(saltHex, 88, 'hex');
  return new Uint8Array(block.buffer, block.byteOffset, BLOCK);
}

/** A UUID derived only from `seed`, so that repeated builds give the same bytes. */
export function derivedUuid(seed: string): Uint8Array {
  const uuid = createHash('sha256').update(seed).digest().subarray(0, 16);
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x80;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return uuid;
}

/** The UUID of the tree with that root hash. */
export const treeUuid = (rootHash: Sha256): Uint8Array => derivedUuid(`tandem verity ${rootHash}`);

/** Reads a range of a tree, its superblock included. */
export type TreeReader = (offset: number, length: number) => Promise<Uint8Array>;

/** The digests of `count` data blocks from `firstBlock` on, 32 bytes each, from the tree (or `rootHash`, for a single block). */
export async function leafDigestsAt(
  read: TreeReader,
  tree: Readonly<{ rootHash: Sha256; dataBlocks: number }>,
  firstBlock: number,
  count: number,
): Promise<Uint8Array> {
  if (firstBlock < 0 || count < 0 || firstBlock + count > tree.dataBlocks)
    throw new RangeError(`Blocks ${firstBlock} to ${firstBlock + count} are not within ${tree.dataBlocks}.`);
  const leaves = treeLayout(tree.dataBlocks).levels[0];
  if (leaves === undefined) return Buffer.from(tree.rootHash, 'hex').subarray(0, count * DIGEST);
  return read(leaves.offset + firstBlock * DIGEST, count * DIGEST);
}

const FANOUT = BLOCK / DIGEST;

/** Room for one block after the salt: hashing both as one piece is twice as fast as updating a hash object. */
export function saltedBlock(salt: Uint8Array): Buffer {
  const scratch = Buffer.alloc(salt.length + BLOCK);
  scratch.set(salt);
  return scratch;
}

/** The digest of block `index` in `blocks`, one character per byte; `scratch` comes from `saltedBlock`. */
export function digestOf(scratch: Buffer, blocks: Uint8Array, index: number): string {
  scratch.set(blocks.subarray(index * BLOCK, (index + 1) * BLOCK), scratch.length - BLOCK);
  return hash('sha256', scratch, 'binary');
}
