/** Decodes compressed frames, verifying every digest. */

import { hash } from 'node:crypto';
import { constants, zstdDecompressSync } from 'node:zlib';
import { UpdateError } from '../../errors.ts';
import { BLOCK, DIGEST, digestOf, saltedBlock } from '../verity.ts';
import { SPARE } from './memory.ts';
import { checkZstdFrame } from './zstd-frame.ts';

/** A received frame; `unchecked` is untrusted until `decodeFrame` has accepted it. */
export type CompressedFrame = Readonly<{
  index: number;
  /** The offset of its plain bytes in the image. */
  offset: number;
  plainSize: number;
  /** The frame's entry in the frame table. */
  sha256: Uint8Array;
  unchecked: Uint8Array;
}>;

/** The verity leaves of the frame's blocks, 32 bytes each. */
export type LeafCheck = Readonly<{ salt: Uint8Array; leaves: Uint8Array }>;

/** The largest plain frame; bounds the memory of every decoder. */
export const FRAME_LIMIT = 1024 * 1024;

/** Decodes a frame; throws unless it matches the frame table and, if given, the verity leaves. */
export function decodeFrame(frame: CompressedFrame, check?: LeafCheck): Uint8Array {
  const digest = hash('sha256', frame.unchecked, 'buffer');
  if (!digest.equals(frame.sha256))
    throw new UpdateError(
      'frame-mismatch',
      `Frame ${frame.index} has SHA-256 ${digest.toString('hex')}, not ${hex(frame.sha256)}.`,
    );
  checkZstdFrame(frame.unchecked, frame.plainSize, frame.index);
  const plain = decompress(frame);
  if (check !== undefined) checkLeaves(plain, frame, check);
  return plain;
}

function decompress(frame: CompressedFrame): Uint8Array {
  const plain = inflate(frame);
  if (plain.length === frame.plainSize) return plain;
  throw new UpdateError(
    'frame-invalid',
    `Frame ${frame.index} has ${plain.length} plain bytes, not ${frame.plainSize}.`,
  );
}

function inflate(frame: CompressedFrame): Uint8Array {
  try {
    return zstdDecompressSync(frame.unchecked, {
      // One byte more than expected, so that the whole frame lands in a single buffer.
      chunkSize: frame.plainSize + SPARE,
      maxOutputLength: frame.plainSize,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UpdateError('frame-invalid', `Frame ${frame.index} cannot be decompressed: ${why}.`, { cause });
  }
}

function checkLeaves(plain: Uint8Array, frame: CompressedFrame, { salt, leaves }: LeafCheck): void {
  const blocks = plain.length / BLOCK;
  if (leaves.length !== blocks * DIGEST)
    throw new RangeError(`Frame ${frame.index} has ${blocks} blocks; ${leaves.length} bytes of digests were given.`);
  const scratch = saltedBlock(salt);
  const promised = Buffer.from(leaves.buffer, leaves.byteOffset, leaves.length);
  for (let index = 0; index < blocks; index += 1) {
    if (digestOf(scratch, plain, index) === promised.toString('latin1', index * DIGEST, (index + 1) * DIGEST)) continue;
    const number = frame.offset / BLOCK + index;
    throw new UpdateError(
      'block-mismatch',
      `Block ${number} (frame ${frame.index}) is not the one in the verity tree.`,
    );
  }
}

const WINDOW_LOG_MAX = Math.log2(FRAME_LIMIT);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
