/** Random access to an image in a bundle: fetches only the frames needed, and verifies each before use. */

import type { Role } from '../model.ts';
import { decodeFrame } from './decode/decode.ts';
import type { FrameTable } from './frames.ts';
import type { Bundle } from './reader.ts';

export type ImageReader = Readonly<{ size: number; read(offset: number, length: number): Promise<Uint8Array> }>;

/** For a few sparse reads; read whole images sequentially instead. A short result means the end of the image. */
export async function imageReader(bundle: Bundle, role: Role, signal: AbortSignal): Promise<ImageReader> {
  const { size, frameSize } = bundle.image(role);
  const table = await bundle.frameTable(role, signal);
  let last: Readonly<{ index: number; plain: Uint8Array }> | undefined;
  const frame = async (index: number): Promise<Uint8Array> => {
    if (last?.index !== index) last = { index, plain: await plainFrame(bundle, role, table, index, signal) };
    return last.plain;
  };
  return {
    size,
    read: async (offset, length) => {
      const end = Math.min(size, offset + length);
      const pieces: Uint8Array[] = [];
      for (let at = offset; at < end; ) {
        const index = Math.floor(at / frameSize);
        const from = at - index * frameSize;
        const piece = (await frame(index)).subarray(from, from + end - at);
        pieces.push(piece);
        at += piece.length;
      }
      return Buffer.concat(pieces);
    },
  };
}

async function plainFrame(
  bundle: Bundle,
  role: Role,
  table: FrameTable,
  index: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  for await (const frame of bundle.compressedFrames(role, table, signal, index, index + 1)) return decodeFrame(frame);
  throw new RangeError(`The ${role} image has no frame ${index}.`);
}
