/** Reads the superblock of a verity tree on a disk; strict, because the disk may contain anything. */

import { UpdateError } from '../errors.ts';
import { BLOCK } from './verity.ts';

export type Superblock = Readonly<{ salt: string; dataBlocks: number }>;

/** The salt and the number of data blocks; only the form of our own trees is accepted. */
export function parseSuperblock(block: Uint8Array, name: string): Superblock {
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  const dataBlocks = Number(bytes.readBigUInt64LE(72));
  const saltSize = bytes.readUInt16LE(80);
  const isOurs =
    bytes.toString('latin1', 0, 8) === 'verity\0\0' &&
    bytes.readUInt32LE(8) === 1 &&
    bytes.readUInt32LE(12) === 1 &&
    bytes.toString('latin1', 32, 39) === 'sha256\0' &&
    bytes.readUInt32LE(64) === BLOCK &&
    bytes.readUInt32LE(68) === BLOCK &&
    saltSize <= 256 &&
    dataBlocks > 0 &&
    dataBlocks <= MOST_BLOCKS;
  if (!isOurs) throw new UpdateError('tree-unknown', `${name} holds no verity tree of the kind that Tandem makes.`);
  return { salt: bytes.toString('hex', 88, 88 + saltSize), dataBlocks };
}

/** 64 GiB. */
const MOST_BLOCKS = 2 ** 24;
