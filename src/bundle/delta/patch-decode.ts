/** Makes the blocks of one segment of a patch from its packed bytes and the old blocks that it refers to. */

import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdDecompress } from 'node:zlib';
import { UpdateError } from '../../errors.ts';
import { BLOCK } from '../verity.ts';
import { checkZstdFrame } from '../zstd-frame.ts';
import { blocksIn, type PatchSegment } from './patch-head.ts';

/**
 * The plain blocks of a segment, in the order of `to`. `dictionary` has the blocks of `segment.dictionary`, one after the other. The
 * packed bytes are proved before they are looked at; what comes out is proved by the leaves of its blocks (`check`), by the caller.
 */
export async function unpackSegment(
  segment: PatchSegment,
  packed: Uint8Array,
  dictionary: Uint8Array,
): Promise<Uint8Array> {
  if (packed.length !== segment.packedSize || !isDigest(packed, segment.sha256))
    throw new UpdateError('delta-mismatch', `Segment ${segment.index} of the patch is damaged.`);
  const wanted = blocksIn(segment.dictionary) * BLOCK;
  if (dictionary.length !== wanted)
    throw new UpdateError(
      'delta-mismatch',
      `Segment ${segment.index} needs ${wanted} old bytes, not ${dictionary.length}.`,
    );
  return inflate(segment, packed, dictionary);
}

/** Plain bytes are at most a megabyte, so no segment needs a larger window. */
const WINDOW_LOG = 20;

const unzstd = promisify(zstdDecompress);

async function inflate(segment: PatchSegment, packed: Uint8Array, dictionary: Uint8Array): Promise<Uint8Array> {
  const size = blocksIn(segment.to) * BLOCK;
  try {
    checkZstdFrame(packed, size, segment.index);
    const plain = await unzstd(packed, {
      ...(dictionary.length > 0 && { dictionary }),
      // One piece, so that it is not put together from many.
      chunkSize: size + SPARE,
      maxOutputLength: size + SPARE,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
    });
    if (plain.length !== size) throw new RangeError(`${plain.length} bytes came out instead of ${size}.`);
    return plain;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UpdateError('delta-mismatch', `Segment ${segment.index} of the patch cannot be unpacked: ${why}`, {
      cause,
    });
  }
}

const SPARE = 64;

const isDigest = (bytes: Uint8Array, sha256: Uint8Array): boolean =>
  Buffer.compare(hash('sha256', bytes, 'buffer'), sha256) === 0;
