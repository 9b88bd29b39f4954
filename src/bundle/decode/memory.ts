/** Gives memory back before the collector looks for it: waiting would let tens of megabytes gather. */

/** Frees the memory of bytes that nobody uses any more. Small ones share theirs with others and are left alone. */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength - byteLength <= SPARE) buffer.transfer(0);
}

/** Bytes that a decoder is given beyond those that are expected, so that all comes as one piece. */
export const SPARE = 64;
