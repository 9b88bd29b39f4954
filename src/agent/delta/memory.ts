/** Gives memory back before the collector looks for it: waiting would let tens of megabytes gather. */

/** Frees the memory of bytes that nobody uses any more. Small ones share theirs with others and are left alone. */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength - byteLength <= SPARE) buffer.transfer(0);
}

const SPARE = 64;
