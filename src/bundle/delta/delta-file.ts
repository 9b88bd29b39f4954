/** The common format of the two kinds of delta files: a signed head, and a body verified by the head. */

import { createHash, hash } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import type { Scratch } from '../../system/disk/scratch.ts';
import { type Files, moveFile } from '../../system/files.ts';
import { checkZstdFrame } from '../decode/zstd-frame.ts';
import { roomFor } from '../publish/compress.ts';

/** The signed part of a delta: its first bytes. */
export type DeltaHead = Readonly<{ size: number; sha256: Sha256 }>;

/** A written delta. `size` and `sha256` cover the whole file. */
export type BuiltDelta = Readonly<{ head: DeltaHead; size: number; sha256: Sha256 }>;

/** The destination of a delta. `scratch` must be on the file system of `path`. */
export type DeltaOutput = Readonly<{ path: string; files: Files; scratch: Scratch }>;

/** The largest head accepted, in bytes. */
export const HEAD_LIMIT = 16 * 1024 * 1024;

/** Releases with more blocks (16 GiB) are sent in full: the planner's memory grows with them. */
export const BLOCKS_LIMIT = 4 * 1024 * 1024;

/** Writes `head` and then the bodies to `out.path`, atomically. */
export async function writeDelta(
  head: Uint8Array,
  bodies: readonly AsyncIterable<Uint8Array>[],
  { path, files, scratch }: DeltaOutput,
): Promise<BuiltDelta> {
  if (head.length > HEAD_LIMIT)
    throw new UpdateError('delta-unsupported', `The head has ${head.length} bytes; at most ${HEAD_LIMIT} are read.`);
  const digest = createHash('sha256');
  let size = 0;
  const content = async function* (): AsyncGenerator<Uint8Array> {
    for await (const bytes of joined(head, bodies)) {
      digest.update(bytes);
      size += bytes.length;
      yield bytes;
    }
  };
  const unfinished = scratch.path('delta');
  await files.write(unfinished, content());
  await files.syncFile(unfinished);
  await moveFile(files, unfinished, path);
  return {
    head: { size: head.length, sha256: hash('sha256', head, 'hex') as Sha256 },
    size,
    sha256: digest.digest('hex') as Sha256,
  };
}

/** The encoded head: eight bytes of magic, the plain size, one zstd frame. */
export function packHead(magic: string, plain: Uint8Array): Uint8Array {
  const frame = zstdCompressSync(plain, {
    pledgedSrcSize: plain.length,
    chunkSize: roomFor(plain),
    params: {
      [constants.ZSTD_c_compressionLevel]: 19,
      [constants.ZSTD_c_contentSizeFlag]: 1,
      [constants.ZSTD_c_checksumFlag]: 1,
      // A window of the content's size, so that the decoder needs no further memory.
      [constants.ZSTD_c_windowLog]: Math.max(MIN_WINDOW_LOG, Math.ceil(Math.log2(Math.max(1, plain.length)))),
    },
  });
  const prefix = Buffer.alloc(PREFIX);
  prefix.write(magic, 0, 'latin1');
  prefix.writeUInt32LE(plain.length, MAGIC);
  return Buffer.concat([prefix, frame]);
}

/** Decompresses a head; never makes more than `plainLimit` bytes. */
export function unpackHead(magic: string, bytes: Uint8Array, plainLimit: number): Uint8Array {
  if (bytes.length < PREFIX || bytes.length > HEAD_LIMIT) throw invalid(`it has ${bytes.length} bytes`);
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (head.toString('latin1', 0, MAGIC) !== magic) throw invalid(`it does not begin with ${JSON.stringify(magic)}`);
  const plainSize = head.readUInt32LE(MAGIC);
  if (plainSize > plainLimit) throw invalid(`it claims ${plainSize} plain bytes; at most ${plainLimit} are possible`);
  const plain = inflate(head.subarray(PREFIX), plainSize);
  if (plain.length !== plainSize) throw invalid(`it has ${plain.length} plain bytes, not ${plainSize}`);
  return plain;
}

export const invalid = (what: string, cause?: unknown): UpdateError =>
  new UpdateError('delta-invalid', `The head of the delta is wrong: ${what}.`, { cause });

const MAGIC = 8;
const PREFIX = MAGIC + 4;
const MIN_WINDOW_LOG = 10;
const MAX_WINDOW_LOG = 27;

function inflate(frame: Uint8Array, plainSize: number): Uint8Array {
  try {
    checkZstdFrame(frame, plainSize, 0);
    return zstdDecompressSync(frame, {
      chunkSize: plainSize + 64,
      maxOutputLength: Math.max(1, plainSize),
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message.replace(/\.$/, '') : String(cause), cause);
  }
}

async function* joined(head: Uint8Array, bodies: readonly AsyncIterable<Uint8Array>[]): AsyncGenerator<Uint8Array> {
  yield head;
  for (const body of bodies) yield* body;
}
