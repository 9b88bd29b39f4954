/** Collects consecutive frames in a slot of shared memory until it is full. */

import { UpdateError } from '../../errors.ts';
import { compressedBound } from '../frames.ts';
import { BLOCK, DIGEST } from '../verity.ts';
import { type CompressedFrame, FRAME_LIMIT, type LeafCheck } from './decode.ts';
import { type DecodeRequest, type RequestFrame, SLOT_FRAMES, SLOT_PLAIN, type Slot } from './messages.ts';

/** A frame to decode, with the verity leaves of its blocks if the tree is known. */
export type DecodeJob = Readonly<{ frame: CompressedFrame; check?: LeafCheck }>;

export interface DecodeBatch {
  /** Plain bytes so far. */
  readonly size: number;
  /** Adds the frame, copying its bytes; false if it does not fit. */
  add(job: DecodeJob): boolean;
  request(slot: number): DecodeRequest;
}

export function createBatch(slot: Slot): DecodeBatch {
  const frames: RequestFrame[] = [];
  let salt: string | undefined;
  let plainAt = 0;
  let packedAt = 0;

  const fits = ({ frame, check }: DecodeJob): boolean => {
    const last = frames.at(-1);
    if (last === undefined) return true;
    const follows = frame.offset === last.offset + last.plainSize;
    const alike = saltOf(check) === salt;
    return follows && alike && frames.length < SLOT_FRAMES && plainAt + frame.plainSize <= SLOT_PLAIN;
  };

  return {
    get size() {
      return plainAt;
    },
    add: (job) => {
      checkBounds(job);
      if (!fits(job)) return false;
      const { index, offset, plainSize, sha256, unchecked } = job.frame;
      salt = saltOf(job.check);
      slot.digests.set(sha256, frames.length * DIGEST);
      slot.packed.set(unchecked, packedAt);
      if (job.check !== undefined) slot.leaves.set(job.check.leaves, (plainAt / BLOCK) * DIGEST);
      frames.push({ index, offset, plainSize, plainAt, packedAt, packedSize: unchecked.length });
      plainAt += plainSize;
      packedAt += unchecked.length;
      return true;
    },
    request: (number) => ({ slot: number, frames, ...(salt === undefined ? {} : { salt }) }),
  };
}

const saltOf = (check: LeafCheck | undefined): string | undefined => check && Buffer.from(check.salt).toString('hex');

function checkBounds({ frame, check }: DecodeJob): void {
  if (frame.plainSize > FRAME_LIMIT || frame.unchecked.length > compressedBound(frame.plainSize))
    throw new UpdateError('frame-invalid', `Frame ${frame.index} is larger than a frame may be.`);
  if (check !== undefined && check.leaves.length !== (frame.plainSize / BLOCK) * DIGEST)
    throw new RangeError(
      `Frame ${frame.index} has ${frame.plainSize} bytes; ${check.leaves.length} bytes of leaves were given.`,
    );
}
