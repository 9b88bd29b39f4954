/** A file in memory, read by parts. */

import type { FileReader } from '../../src/reboot/kernels/uki-file.ts';

export const readerOf = (bytes: Uint8Array): FileReader => ({
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
});
