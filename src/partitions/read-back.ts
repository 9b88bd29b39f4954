/** Reads an image from the medium, past the page cache, while the previous piece is being checked. */

import type { BlockTarget } from '../system/disk/block-target.ts';

/**
 * Passes the first `size` bytes to `sink` in order, in pieces of 512 KiB, reading one ahead. A piece is valid until the sink's promise
 * resolves, and in shared memory if the target supports that.
 */
export async function readBack(
  target: BlockTarget,
  size: number,
  sink: (bytes: Uint8Array, offset: number) => void | Promise<void>,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  const judge = async (bytes: Uint8Array, offset: number): Promise<boolean> => {
    await sink(bytes, offset);
    return true;
  };
  await readAhead(target, size, PIECE, judge, signal);
}

/**
 * The frames of an image already right on the medium, to resume an attempt. Never the first one, whose first block is withheld until the
 * end. Stops after `patience` missing frames in a row.
 */
export async function keepable(
  target: BlockTarget,
  frameSize: number,
  size: number,
  matches: (frame: number, bytes: Uint8Array) => boolean | Promise<boolean>,
  { signal, patience = Number.POSITIVE_INFINITY }: { signal?: AbortSignal; patience?: number } = {},
): Promise<Set<number>> {
  const kept = new Set<number>();
  let misses = 0;
  const judge = async (bytes: Uint8Array, offset: number): Promise<boolean> => {
    const frame = offset / frameSize;
    const isRight = frame > 0 && (await matches(frame, bytes));
    if (isRight) kept.add(frame);
    misses = isRight || frame === 0 ? 0 : misses + 1;
    return misses < patience;
  };
  await readAhead(target, Math.min(size, target.size), frameSize, judge, signal);
  return kept;
}

/** Reads the next piece while `sink` works on this one; stops early if `sink` returns false. */
async function readAhead(
  target: BlockTarget,
  size: number,
  piece: number,
  sink: (bytes: Uint8Array, offset: number) => Promise<boolean>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const read = (offset: number) => (offset < size ? target.read(offset, Math.min(piece, size - offset)) : undefined);
  let ahead = read(0);
  try {
    for (let offset = 0; ahead; offset += piece) {
      const bytes = await ahead;
      signal?.throwIfAborted();
      ahead = read(offset + piece);
      // Awaited only after the sink; an earlier failure must not count as an unhandled rejection.
      ahead?.catch(() => undefined);
      if (!(await sink(bytes, offset))) break;
    }
  } finally {
    await ahead?.catch(() => undefined);
  }
}

const PIECE = 512 * 1024;
