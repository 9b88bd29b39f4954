/** Byte sources in memory. */

import type { ByteSource } from '../../src/bundle/byte-source.ts';

/** Gives `bytes` in pieces of `piece` bytes. */
export function memorySource(bytes: Uint8Array, piece = 10_000, name = 'memory'): ByteSource {
  return {
    name,
    size: bytes.length,
    async *open(offset, signal, end = bytes.length) {
      for (let at = offset; at < end && at < bytes.length; at += piece) {
        signal.throwIfAborted();
        yield bytes.subarray(at, Math.min(at + piece, end, bytes.length));
      }
    },
  };
}
