/** Writes an image to a partition so that a half-written one has no superblock. */

import { UpdateError } from '../errors.ts';
import type { BlockTarget } from '../system/disk/block-target.ts';

export type Block = Readonly<{ offset: number; bytes: Uint8Array }>;

export type WriteOptions = Readonly<{
  /** Of the whole image, a multiple of 4096. */
  size: number;
  /** Bytes already right on the medium (never the first block), and not in `blocks`. */
  kept?: number;
  signal?: AbortSignal;
  /** Called with the bytes done so far, kept ones included. */
  progress?: (done: number) => void;
}>;

/** An image being written, its blocks in any order. */
export interface ImageWriter {
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes the writes so far durable; a failed flush is not retried. */
  flush(): Promise<void>;
  /** Call once everything, the first block included, has been written: now the first block may go to the medium. */
  finish(): Promise<void>;
}

/** Starts an image: from here until `finish`, its first 4096 bytes are durably zero, whatever is written. */
export async function openImage(target: BlockTarget, size: number): Promise<ImageWriter> {
  assertFits(target, size);
  await target.write(0, new Uint8Array(FIRST));
  await target.flush();
  const first = new Uint8Array(FIRST);
  return {
    write: async (offset, bytes) => {
      if (offset < 0 || offset + bytes.length > size)
        throw new RangeError(`${target.name}: ${bytes.length} bytes at ${offset} are out of range.`);
      const held = Math.max(0, Math.min(FIRST - offset, bytes.length));
      first.set(bytes.subarray(0, held), held > 0 ? offset : 0);
      if (held < bytes.length) await target.write(offset + held, bytes.subarray(held));
    },
    flush: () => target.flush(),
    finish: async () => {
      await target.flush();
      await target.write(0, first);
      await target.flush();
    },
  };
}

/**
 * Writes `blocks`, ascending and without overlap. The first 4096 bytes stay zero until the rest is durable. A failed flush is not retried:
 * the next attempt writes the slot again.
 */
export async function writeImage(
  target: BlockTarget,
  blocks: AsyncIterable<Block>,
  options: WriteOptions,
): Promise<void> {
  const image = await openImage(target, options.size);
  let done = options.kept ?? 0;
  let end = 0;
  for await (const { offset, bytes } of blocks) {
    options.signal?.throwIfAborted();
    if (offset < end) throw new RangeError(`${target.name}: the block at ${offset} is out of order.`);
    end = offset + bytes.length;
    await image.write(offset, bytes);
    done += bytes.length;
    options.progress?.(done);
  }
  if (done !== options.size) throw new RangeError(`${target.name}: ${done} of ${options.size} bytes were given.`);
  await image.finish();
}

/** Before anything is written. */
export function assertFits(target: Pick<BlockTarget, 'name' | 'size'>, size: number): void {
  if (size > target.size)
    throw new UpdateError('slot-too-small', `The image has ${size} bytes, ${target.name} has ${target.size}.`);
  if (size < FIRST || size % FIRST !== 0)
    throw new RangeError(`an image of ${size} bytes is not a multiple of ${FIRST} bytes`);
}

const FIRST = 4096;
