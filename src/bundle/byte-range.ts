/** Reads bytes of a source at any offset. */

import type { ByteSource } from './byte-source.ts';
import { createCursor } from './cursor.ts';

/** Exactly `size` bytes; throws if the source has fewer. */
export async function byteRange(
  source: ByteSource,
  offset: number,
  size: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  await using cursor = createCursor(source, offset, offset + size, signal);
  return await cursor.copy(size);
}
