/** Reads an image from the medium, past the page cache, while what was read before is being judged. */

import type { BlockTarget } from '../system/block-target.ts';

type ReadOptions = Readonly<{ signal?: AbortSignal; piece?: number }>;

/**
 * Hands the first `size` bytes to `sink` in order, in pieces of 1 MiB; the next one is read meanwhile. A piece is valid until the
 * sink's promise resolves, and lies in shared memory where the target can do so.
 */
export async function readBack(
  target: BlockTarget,
  size: number,
  sink: (bytes: Uint8Array, offset: number) => void | Promise<void>,
  { signal, piece = PIECE }: ReadOptions = {},
): Promise<void> {
  const read = (offset: number) => (offset < size ? target.read(offset, Math.min(piece, size - offset)) : undefined);
  let ahead = read(0);
  for (let offset = 0; ahead; offset += piece) {
    signal?.throwIfAborted();
    const bytes = await ahead;
    ahead = read(offset + piece);
    // Awaited only after the sink: a failure before that would be an unhandled one.
    ahead?.catch(() => undefined);
    await sink(bytes, offset);
  }
}

/**
 * Which frames of an image already lie right on the medium, for a resumed attempt. Never the first: its first block is withheld
 * until the end.
 */
export async function keepable(
  target: BlockTarget,
  frameSize: number,
  size: number,
  matches: (frame: number, bytes: Uint8Array) => boolean | Promise<boolean>,
  options: Omit<ReadOptions, 'piece'> = {},
): Promise<Set<number>> {
  const kept = new Set<number>();
  const judge = async (bytes: Uint8Array, offset: number): Promise<void> => {
    const frame = offset / frameSize;
    if (frame > 0 && (await matches(frame, bytes))) kept.add(frame);
  };
  await readBack(target, Math.min(size, target.size), judge, { ...options, piece: frameSize });
  return kept;
}

const PIECE = 1024 * 1024;
