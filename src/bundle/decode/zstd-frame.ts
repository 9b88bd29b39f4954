/** Checks the structure of a zstd frame (RFC 8878). zlib's decoder tolerates skippable frames, several frames and trailing bytes; this does not. */

import { UpdateError } from '../../errors.ts';

/** Throws unless `bytes` are exactly one zstd frame that declares `plainSize` bytes and needs no more memory. */
export function checkZstdFrame(bytes: Uint8Array, plainSize: number, index: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const refuse = (what: string): UpdateError => new UpdateError('frame-invalid', `Frame ${index} ${what}.`);
  if (bytes.length < 6) throw refuse(`has only ${bytes.length} bytes`);
  const magic = view.getUint32(0, true);
  if (magic >>> 4 === SKIPPABLE) throw refuse('is a skippable zstd frame');
  if (magic !== MAGIC) throw refuse('is not a zstd frame');
  const header = readHeader(view, refuse);
  if (header.plainSize !== plainSize) throw refuse(`claims ${header.plainSize} plain bytes, not ${plainSize}`);
  const end = blocksEnd(view, header.length, refuse) + (header.checksum ? 4 : 0);
  if (end > bytes.length) throw refuse('is cut off');
  if (end < bytes.length) throw refuse(`has ${bytes.length - end} bytes after its end`);
}

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a5;

type Refuse = (what: string) => UpdateError;
type Header = Readonly<{ length: number; plainSize: number; checksum: boolean }>;

function readHeader(view: DataView, refuse: Refuse): Header {
  const descriptor = view.getUint8(4);
  if ((descriptor & 0x18) !== 0) throw refuse('sets reserved bits');
  if ((descriptor & 0x03) !== 0) throw refuse('wants a dictionary');
  // A single segment has no separate window: the decoder needs only the plain size, which the manifest bounds.
  if ((descriptor & 0x20) === 0) throw refuse('has a window instead of a single segment');
  const width = [1, 2, 4, 8][descriptor >> 6] ?? 1;
  if (view.byteLength < 5 + width) throw refuse('is cut off');
  return { length: 5 + width, plainSize: contentSize(view, width), checksum: (descriptor & 0x04) !== 0 };
}

function contentSize(view: DataView, width: number): number {
  if (width === 1) return view.getUint8(5);
  if (width === 2) return view.getUint16(5, true) + 256;
  if (width === 4) return view.getUint32(5, true);
  return Number(view.getBigUint64(5, true));
}

function blocksEnd(view: DataView, start: number, refuse: Refuse): number {
  for (let at = start; ; ) {
    if (at + 3 > view.byteLength) throw refuse('is cut off');
    const block = view.getUint8(at) | (view.getUint16(at + 1, true) << 8);
    const type = (block >> 1) & 3;
    if (type === 3) throw refuse('has a block of a reserved type');
    at += 3 + (type === RUN ? 1 : block >> 3);
    if ((block & 1) === 1) return at;
  }
}

/** A block of one repeated byte is stored as that byte. */
const RUN = 1;
