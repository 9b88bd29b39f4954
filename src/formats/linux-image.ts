/** Reads the version from a Linux kernel image. */

/** The release, as `uname -r` prints it, from the first 64 KiB of a bzImage; undefined for other images. */
export function kernelRelease(head: Uint8Array): string | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < 0x210 || view.getUint32(0x202) !== MAGIC) return undefined;
  const at = view.getUint16(0x20e, true) + 0x200;
  const [text] = new TextDecoder('latin1').decode(head.subarray(at, at + 128)).split('\0', 1);
  return /^[\w.+~-]+(?= |$)/.exec(text ?? '')?.[0];
}

/** "HdrS", in the boot protocol of x86. */
const MAGIC = 0x48647253;
