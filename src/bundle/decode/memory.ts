/** Frees memory ahead of the garbage collector, which would let tens of megabytes accumulate. */

/** Frees the memory of unused bytes. Small buffers share a pool and are left alone. */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength - byteLength <= SPARE) buffer.transfer(0);
}

/** Extra bytes in a decoder's output buffer, so that the output arrives in one piece. */
export const SPARE = 64;
