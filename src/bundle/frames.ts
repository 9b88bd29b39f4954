/** The frame table: the location and digest of each compressed frame of an image. */

import { UpdateError } from '../errors.ts';

/** The size of a table entry: compressed length (u32, little endian) and SHA-256 of the compressed bytes. */
export const FRAME_ENTRY = 36;
/** The largest accepted frame table: 64 GiB in frames of 256 KiB need 9 MiB. */
export const TABLE_LIMIT = 16 * 1024 * 1024;

type Framed = Readonly<{ size: number; frameSize: number }>;

/** A checked table. `offsets` has one more number than there are frames: the size of the blob. */
export type FrameTable = Readonly<{ count: number; offsets: Float64Array; sha256(index: number): Uint8Array }>;

/** The number of frames in an image. */
export const frameCount = (image: Framed): number => Math.ceil(image.size / image.frameSize);

/** Plain bytes of a frame; only the last one is shorter. */
export const plainSizeOf = (image: Framed, index: number): number =>
  Math.min(image.frameSize, image.size - index * image.frameSize);

/** The largest compressed size of that many bytes: incompressible data grows slightly. */
export const compressedBound = (plainSize: number): number =>
  plainSize + (plainSize >> 8) + (plainSize < SMALL ? (SMALL - plainSize) >> 11 : 0);

/** Encodes an entry. */
export function encodeFrameEntry(length: number, sha256: Uint8Array): Uint8Array {
  const entry = new Uint8Array(FRAME_ENTRY);
  new DataView(entry.buffer).setUint32(0, length, true);
  entry.set(sha256, 4);
  return entry;
}

/** Decodes a table, which must fit the image and its blob exactly; linear time. */
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
