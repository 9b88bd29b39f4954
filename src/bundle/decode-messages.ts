/** What the decoding threads and their owner tell each other; the bytes themselves lie in memory that both see. */

import type { ErrorCode } from '../errors.ts';
import { FRAME_LIMIT } from './decode.ts';
import { compressedBound } from './frames.ts';

/** Given to a thread when it starts. `role` tells the one program file what it is to be. */
export type DecoderData = Readonly<{ role: 'decode'; memory: SharedArrayBuffer }>;

/** Decode the compressed frame in this slot. */
export type DecodeRequest = Readonly<{
  slot: number;
  index: number;
  offset: number;
  plainSize: number;
  length: number;
  sha256: Uint8Array;
  check?: Readonly<{ salt: Uint8Array; leaves: Uint8Array }>;
}>;

/** The slot now holds the plain bytes, or the reason why not. */
export type DecodeReply = Readonly<{ slot: number; failure?: Readonly<{ code: ErrorCode; message: string }> }>;

const PAGE = 4096;
const INPUT = Math.ceil(compressedBound(FRAME_LIMIT) / PAGE) * PAGE;
/** Bytes of shared memory a slot takes; what is not touched costs nothing. */
export const SLOT = FRAME_LIMIT + INPUT;

/** Where a slot's plain bytes go: at the start of a page, so that they can be written past the page cache. */
export const plainArea = (memory: SharedArrayBuffer, slot: number, size: number): Uint8Array =>
  new Uint8Array(memory, slot * SLOT, size);

/** Where a slot's compressed bytes come from. */
export const packedArea = (memory: SharedArrayBuffer, slot: number, size: number): Uint8Array =>
  new Uint8Array(memory, slot * SLOT + FRAME_LIMIT, size);
