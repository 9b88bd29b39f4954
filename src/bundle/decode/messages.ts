/** What the decoding threads and their owner tell each other; the bytes themselves lie in memory that both see. */

import type { ErrorCode } from '../../errors.ts';
import type { PatchSegment } from '../delta/patch-head.ts';
import { compressedBound } from '../frames.ts';
import { BLOCK, DIGEST } from '../verity.ts';
import { FRAME_LIMIT } from './decode.ts';

/** Given to a thread when it starts. */
export type DecoderData = Readonly<{ memory: SharedArrayBuffer }>;

/** A frame of a request: its compressed bytes lie at `packedAt` in the slot, its plain bytes go to `plainAt`. */
export type RequestFrame = Readonly<{
  index: number;
  offset: number;
  plainSize: number;
  plainAt: number;
  packedAt: number;
  packedSize: number;
}>;

/** Decode the frames in this slot. With a salt, their leaves lie there too. */
export type DecodeRequest = Readonly<{ slot: number; frames: readonly RequestFrame[]; salt?: string }>;

/** Give the digests of these blocks. Blocks in shared memory are not copied on their way. */
export type DigestRequest = Readonly<{ blocks: Uint8Array; salt: string }>;

/** Make the blocks of a segment of a patch, put them at the beginning of `into` and give their digests. All lie in shared memory. */
export type SegmentRequest = Readonly<{
  segment: PatchSegment;
  packed: Uint8Array;
  dictionary: Uint8Array;
  into: Uint8Array;
  salt: string;
}>;

/** What a thread may be asked. */
export type ThreadRequest = DecodeRequest | DigestRequest | SegmentRequest;

/** The slot now holds the plain bytes, or here are the digests, or the reason why not. `id` is that of the request. */
export type ThreadReply = Readonly<{
  id: number;
  digests?: Uint8Array;
  failure?: Readonly<{ code: ErrorCode; message: string }>;
}>;

/** The areas of a slot. Plain bytes begin at a page, so that they can be written past the page cache. */
export type Slot = Readonly<{ plain: Uint8Array; packed: Uint8Array; leaves: Uint8Array; digests: Uint8Array }>;

/** Plain bytes a slot has room for: several small frames share it, since waking a thread costs as much as hashing 64 KiB. */
export const SLOT_PLAIN = FRAME_LIMIT;
/** Frames a slot has room for. */
export const SLOT_FRAMES = 64;
const SLOT_LEAVES = (SLOT_PLAIN / BLOCK) * DIGEST;
const SLOT_DIGESTS = SLOT_FRAMES * DIGEST;
const SLOT_PACKED = compressedBound(SLOT_PLAIN) + SLOT_FRAMES * 64;

/** Bytes of shared memory a slot takes. */
export const SLOT = Math.ceil((SLOT_PLAIN + SLOT_PACKED + SLOT_LEAVES + SLOT_DIGESTS) / BLOCK) * BLOCK;

/** The areas of slot `number`. */
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
