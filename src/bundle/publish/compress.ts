/** Compresses an image into independent zstd frames on all cores, in order, with bounded memory. */

import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { ByteSource } from '../byte-source.ts';
import { createCursor } from '../cursor.ts';
import { frameCount, plainSizeOf } from '../frames.ts';

/** A frame, plain and compressed. */
export type PackedFrame = Readonly<{ plain: Uint8Array; packed: Uint8Array }>;

/** Frame size and compression level. */
export type Compression = Readonly<{ frameSize: number; level: number }>;

/** The frames of `source` in order. */
export async function* compressFrames(
  source: ByteSource,
  { frameSize, level }: Compression,
  signal: AbortSignal,
): AsyncGenerator<PackedFrame> {
  const image = { size: source.size, frameSize };
  await using cursor = createCursor(source, 0, source.size, signal);
  const plains = async function* (): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < frameCount(image); index += 1) yield await cursor.copy(plainSizeOf(image, index));
  };
  yield* compressAll(plains(), level);
}

/** One frame for each piece, in order. */
export async function* compressAll(plains: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<PackedFrame> {
  const waiting: Promise<PackedFrame>[] = [];
  try {
    for await (const plain of plains) {
      waiting.push(compress(plain, level));
      if (waiting.length >= inFlight(plain.length)) yield await (waiting.shift() as Promise<PackedFrame>);
    }
    while (waiting.length > 0) yield await (waiting.shift() as Promise<PackedFrame>);
  } finally {
    await Promise.allSettled(waiting);
  }
}

/**
 * The compressor's chunk size, larger than any frame: if a frame ends exactly at its chunk, Node.js appends an empty frame. zstd itself
 * promises `plain + plain / 256` and some (ZSTD_COMPRESSBOUND).
 */
export const roomFor = ({ length }: Uint8Array): number => length + Math.ceil(length / 256) + 1024;

/** Keeps every thread of the pool busy while a frame is being written. Each takes memory many times its size. */
const inFlight = (plainSize: number): number => Math.min(MOST, Math.max(LEAST, Math.floor(BYTES / plainSize)));

const MOST = 16;
const LEAST = 5;
const BYTES = 4 * 1024 * 1024;
const MIN_WINDOW_LOG = 10;

const zstd = promisify(zstdCompress);

async function compress(plain: Uint8Array, level: number): Promise<PackedFrame> {
  const params = {
    [constants.ZSTD_c_compressionLevel]: level,
    [constants.ZSTD_c_contentSizeFlag]: 1,
    // Low levels would use a window smaller than a large frame, which is then not a single segment.
    [constants.ZSTD_c_windowLog]: Math.max(MIN_WINDOW_LOG, Math.ceil(Math.log2(plain.length))),
  };
  return { plain, packed: await zstd(plain, { params, pledgedSrcSize: plain.length, chunkSize: roomFor(plain) }) };
}
