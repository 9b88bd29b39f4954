/** Messages between the decoding threads and their owner; the data itself is in shared memory. */

import type { ErrorCode } from '../../errors.ts';
import type { PatchSegment } from '../delta/patch-head.ts';
import { compressedBound } from '../frames.ts';
import { BLOCK, DIGEST } from '../verity.ts';
import { FRAME_LIMIT } from './decode.ts';

/** The data that a thread starts with. */
export type DecoderData = Readonly<{ memory: SharedArrayBuffer }>;

/** A frame of a request: its compressed bytes are at `packedAt` in the slot, its plain bytes go to `plainAt`. */
export type RequestFrame = Readonly<{
  index: number;
  offset: number;
  plainSize: number;
  plainAt: number;
  packedAt: number;
  packedSize: number;
}>;

/** Decode the frames in this slot. With a salt, the slot contains their leaves too. */
export type DecodeRequest = Readonly<{ slot: number; frames: readonly RequestFrame[]; salt?: string }>;

/** Hash these blocks. Blocks in shared memory are not copied. */
export type DigestRequest = Readonly<{ blocks: Uint8Array; salt: string }>;

/** Make the blocks of a patch segment at the start of `into`, and return their digests. All in shared memory. */
export type SegmentRequest = Readonly<{
  segment: PatchSegment;
  packed: Uint8Array;
  dictionary: Uint8Array;
  into: Uint8Array;
  salt: string;
}>;

/** A request to a thread. */
export type ThreadRequest = DecodeRequest | DigestRequest | SegmentRequest;

/** The slot's plain bytes are ready, or the digests, or an error. `id` is the request's. */
export type ThreadReply = Readonly<{
  id: number;
  digests?: Uint8Array;
  failure?: Readonly<{ code: ErrorCode; message: string }>;
}>;

/** The layout of a slot. Plain bytes are page-aligned, so that they can be written past the page cache. */
export type Slot = Readonly<{ plain: Uint8Array; packed: Uint8Array; leaves: Uint8Array; digests: Uint8Array }>;

/** The capacity of a slot in plain bytes: small frames share it, because waking a thread costs as much as hashing 64 KiB. */
export const SLOT_PLAIN = FRAME_LIMIT;
/** The capacity of a slot in frames. */
export const SLOT_FRAMES = 64;
const SLOT_LEAVES = (SLOT_PLAIN / BLOCK) * DIGEST;
const SLOT_DIGESTS = SLOT_FRAMES * DIGEST;
const SLOT_PACKED = compressedBound(SLOT_PLAIN) + SLOT_FRAMES * 64;

/** The size of a slot in shared memory, in bytes. */
export const SLOT = Math.ceil((SLOT_PLAIN + SLOT_PACKED + SLOT_LEAVES + SLOT_DIGESTS) / BLOCK) * BLOCK;

/** The layout of slot `number`. */
export function slotIn(memory: SharedArrayBuffer, number: number): Slot {
  const plain = number * SLOT;
  const packed = plain + SLOT_PLAIN;
  const leaves = packed + SLOT_PACKED;
  return {
    plain: new Uint8Array(memory, plain, SLOT_PLAIN),
    packed: new Uint8Array(memory, packed, SLOT_PACKED),
    leaves: new Uint8Array(memory, leaves, SLOT_LEAVES),
    digests: new Uint8Array(memory, leaves + SLOT_LEAVES, SLOT_DIGESTS),
  };
}
