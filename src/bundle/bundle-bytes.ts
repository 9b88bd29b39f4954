/** Reads arbitrary bytes of an image in a bundle, caching a few decoded frames: for sparse reads. */

import type { Role } from '../model.ts';
import { decodeFrame } from './decode/decode.ts';
import type { Bundle } from './reader.ts';

export type ImageBytes = (offset: number, length: number) => Promise<Uint8Array>;

/** A reader of one image; every frame is verified. */
export async function imageBytes(bundle: Bundle, role: Role, signal: AbortSignal): Promise<ImageBytes> {
  const { frameSize, size } = bundle.image(role);
  const table = await bundle.frameTable(role, signal);
  const kept = new Map<number, Uint8Array>();
  const frameAt = async (index: number): Promise<Uint8Array> => {
    const known = kept.get(index);
    if (known !== undefined) return known;
    const plain = await decoded(bundle, role, table, index, signal);
    if (kept.size >= KEPT) kept.delete(kept.keys().next().value ?? 0);
    kept.set(index, plain);
    return plain;
  };
  return async (offset, length) => {
    const end = offset + length;
    if (offset < 0 || end > size) throw new RangeError(`Bytes ${offset} to ${end} are not within ${size}.`);
    const bytes = new Uint8Array(length);
    for (let at = offset; at < end; ) {
      const start = at - (at % frameSize);
      const piece = (await frameAt(start / frameSize)).subarray(at - start, end - start);
      bytes.set(piece, at - offset);
      at += piece.length;
    }
    return bytes;
  };
}

/** 16 MiB of the usual frames: a file system's metadata is in few places. */
const KEPT = 64;

async function decoded(
  bundle: Bundle,
  role: Role,
  table: Awaited<ReturnType<Bundle['frameTable']>>,
  index: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  for await (const frame of bundle.compressedFrames(role, table, signal, index, index + 1)) return decodeFrame(frame);
  throw new RangeError(`There is no frame ${index}.`);
}
