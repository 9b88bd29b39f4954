/** The frame table: where each compressed frame of an image lies and what its digest is. */

import { UpdateError } from '../errors.ts';

/** Bytes a frame takes in the table: its compressed length (u32, little endian) and the SHA-256 of its compressed bytes. */
export const FRAME_ENTRY = 36;
/** More than this is never read as a frame table: 64 GiB in frames of 256 KiB need 9 MiB. */
export const TABLE_LIMIT = 16 * 1024 * 1024;

type Framed = Readonly<{ size: number; frameSize: number }>;

/** A checked table. `offsets` has one number more than there are frames: the last is the size of the blob. */
export type FrameTable = Readonly<{ count: number; offsets: Float64Array; sha256(index: number): Uint8Array }>;

/** How many frames an image has. */
export const frameCount = (image: Framed): number => Math.ceil(image.size / image.frameSize);

/** Plain bytes in a frame; only the last is shorter. */
export const plainSizeOf = (image: Framed, index: number): number =>
  Math.min(image.frameSize, image.size - index * image.frameSize);

/** The most bytes zstd makes of so many: data that cannot be compressed grows a little. */
export const compressedBound = (plainSize: number): number =>
  plainSize + (plainSize >> 8) + (plainSize < SMALL ? (SMALL - plainSize) >> 11 : 0);

/** One entry of the table. */
export function encodeFrameEntry(length: number, sha256: Uint8Array): Uint8Array {
  const entry = new Uint8Array(FRAME_ENTRY);
  new DataView(entry.buffer).setUint32(0, length, true);
  entry.set(sha256, 4);
  return entry;
}

/** The table in these bytes, which must fit the image and its blob exactly; one linear pass. */
export function parseFrameTable(bytes: Uint8Array, image: Framed, blobSize: number): FrameTable {
  const count = frameCount(image);
  if (bytes.length !== count * FRAME_ENTRY)
    throw bad(`it has ${bytes.length} bytes; ${count} frames need ${count * FRAME_ENTRY}`);
  const offsets = frameOffsets(bytes, image, count);
  if (offsets[count] !== blobSize) throw bad(`its frames have ${offsets[count]} bytes; the blob has ${blobSize}`);
  const sha256 = (index: number): Uint8Array => bytes.subarray(index * FRAME_ENTRY + 4, (index + 1) * FRAME_ENTRY);
  return { count, offsets, sha256 };
}

const SMALL = 128 * 1024;

function frameOffsets(bytes: Uint8Array, image: Framed, count: number): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsets = new Float64Array(count + 1);
  for (let index = 0, offset = 0; index < count; index += 1) {
    const length = view.getUint32(index * FRAME_ENTRY, true);
    const bound = compressedBound(plainSizeOf(image, index));
    if (length === 0 || length > bound)
      throw bad(`frame ${index} has ${length} bytes; from 1 to ${bound} are possible`);
    offset += length;
    offsets[index + 1] = offset;
  }
  return offsets;
}

const bad = (what: string): UpdateError => new UpdateError('frame-table-invalid', `The frame table is wrong: ${what}.`);
