/** The decoding thread's main program. */

import { parentPort, workerData } from 'node:worker_threads';
import { asUpdateError } from '../../errors.ts';
import { unpackSegment } from '../delta/patch-decode.ts';
import { blocksIn } from '../delta/patch-head.ts';
import { BLOCK, blockDigests, DIGEST } from '../verity.ts';
import { decodeFrame } from './decode.ts';
import { giveBack } from './memory.ts';
import {
  type DecodeRequest,
  type DecoderData,
  type RequestFrame,
  type SegmentRequest,
  type Slot,
  slotIn,
  type ThreadReply,
  type ThreadRequest,
} from './messages.ts';

function answer(memory: SharedArrayBuffer, id: number, request: ThreadRequest): ThreadReply {
  try {
    if ('segment' in request) return { id, digests: makeSegment(request) };
    if ('blocks' in request) return { id, digests: blockDigests(Buffer.from(request.salt, 'hex'), request.blocks) };
    decode(memory, request);
    return { id };
  } catch (error) {
    const { code, message } = asUpdateError(error);
    return { id, failure: { code, message } };
  }
}

function makeSegment({ segment, packed, dictionary, into, salt }: SegmentRequest): Uint8Array {
  const plain = unpackSegment(segment, packed, dictionary);
  into.set(plain);
  giveBack(plain);
  return blockDigests(Buffer.from(salt, 'hex'), into.subarray(0, blocksIn(segment.to) * BLOCK));
}

function decode(memory: SharedArrayBuffer, request: DecodeRequest): void {
  const slot = slotIn(memory, request.slot);
  const salt = request.salt === undefined ? undefined : Buffer.from(request.salt, 'hex');
  for (const [place, frame] of request.frames.entries()) decodeInto(slot, frame, place, salt);
}

function decodeInto(slot: Slot, frame: RequestFrame, place: number, salt: Uint8Array | undefined): void {
  const sha256 = slot.digests.subarray(place * DIGEST, (place + 1) * DIGEST);
  const unchecked = slot.packed.subarray(frame.packedAt, frame.packedAt + frame.packedSize);
  const leaves = slot.leaves.subarray(leavesBefore(frame.plainAt), leavesBefore(frame.plainAt + frame.plainSize));
  const plain = decodeFrame({ ...frame, sha256, unchecked }, salt && { salt, leaves });
  slot.plain.set(plain, frame.plainAt);
  giveBack(plain);
}

const leavesBefore = (plain: number): number => (plain / BLOCK) * DIGEST;

const { memory } = workerData as DecoderData;
parentPort?.on('message', ({ id, request }: { id: number; request: ThreadRequest }) =>
  parentPort?.postMessage(answer(memory, id, request)),
);
