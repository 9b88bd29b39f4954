/** Decodes one segment of a patch from its packed bytes and the old blocks it refers to. */

import { hash } from 'node:crypto';
import { constants, zstdDecompressSync } from 'node:zlib';
import { UpdateError } from '../../errors.ts';
import { giveBack, SPARE } from '../decode/memory.ts';
import { checkZstdFrame } from '../decode/zstd-frame.ts';
import { BLOCK } from '../verity.ts';
import { addOld } from './difference.ts';
import { blocksIn, type PatchSegment } from './patch-head.ts';

/**
 * The plain blocks of a segment, in the order of `to`. `dictionary` holds the blocks of `segment.dictionary`, concatenated. The packed
 * bytes are verified before use; the caller verifies the result by the leaves of its blocks (`check`).
 */
export function unpackSegment(segment: PatchSegment, packed: Uint8Array, dictionary: Uint8Array): Uint8Array {
  if (packed.length !== segment.packedSize || !isDigest(packed, segment.sha256))
    throw new UpdateError('delta-mismatch', `Segment ${segment.index} of the patch is damaged.`);
  const wanted = blocksIn(segment.dictionary) * BLOCK;
  if (dictionary.length !== wanted)
    throw new UpdateError(
      'delta-mismatch',
      `Segment ${segment.index} needs ${wanted} old bytes, not ${dictionary.length}.`,
    );
  const size = blocksIn(segment.to) * BLOCK;
  try {
    if (packed[0] === REFERRED) return inflate(packed.subarray(1), size, segment.index, dictionary);
    if (packed[0] === ADDED) return inflateAdded(packed, size, segment.index, dictionary);
    throw new RangeError(`Form ${packed[0]} is not known.`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UpdateError('delta-mismatch', `Segment ${segment.index} of the patch cannot be unpacked: ${why}`, {
      cause,
    });
  }
}

/** The first packed byte; a zstd frame follows that uses the old bytes as its dictionary. */
export const REFERRED = 0;
/** Alternatively: the size of a layout, then a zstd frame with the difference from the old bytes and that layout. */
export const ADDED = 1;
export const ADDED_PREFIX = 5;

const LAYOUT_LIMIT = 512 * 1024;
/** A megabyte of plain bytes and a layout; no segment needs a larger window. */
const WINDOW_LOG = 21;
const NOTHING = new Uint8Array(0);

function inflateAdded(packed: Uint8Array, size: number, index: number, old: Uint8Array): Uint8Array {
  if (packed.length < ADDED_PREFIX) throw new RangeError('It is cut off.');
  const layoutSize = new DataView(packed.buffer, packed.byteOffset).getUint32(1, true);
  if (layoutSize > LAYOUT_LIMIT) throw new RangeError(`A layout of ${layoutSize} bytes is too large.`);
  const both = inflate(packed.subarray(ADDED_PREFIX), size + layoutSize, index, NOTHING);
  // Copied to its own memory, so that the rest can be freed early.
  const plain = new Uint8Array(both.subarray(0, size));
  addOld(plain, both.subarray(size), old, (what) => new RangeError(`In the layout, ${what}.`));
  giveBack(both);
  return plain;
}

function inflate(frame: Uint8Array, size: number, index: number, dictionary: Uint8Array): Uint8Array {
  checkZstdFrame(frame, size, index);
  const plain = zstdDecompressSync(frame, {
    ...(dictionary.length > 0 && { dictionary }),
    // One piece, to avoid concatenation.
    chunkSize: size + SPARE,
    maxOutputLength: size + SPARE,
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
  });
  if (plain.length !== size) throw new RangeError(`${plain.length} bytes came out instead of ${size}.`);
  return plain;
}

const isDigest = (bytes: Uint8Array, sha256: Uint8Array): boolean =>
  Buffer.compare(hash('sha256', bytes, 'buffer'), sha256) === 0;
