/** Packs an image: a single pass reads, hashes, compresses and, for a root, builds the verity tree. */

import { createHash, hash } from 'node:crypto';
import type { Role, Sha256 } from '../../model.ts';
import type { Scratch, ScratchFile } from '../../system/disk/scratch.ts';
import type { ByteSource } from '../byte-source.ts';
import { encodeFrameEntry } from '../frames.ts';
import type { Image } from '../manifest.ts';
import { type Compression, compressFrames } from './compress.ts';

/** A packed image: its description for the manifest, and the scratch files of its two entries. */
export type PackedImage = Readonly<{ image: Image; frames: Uint8Array; blob: ScratchFile }>;

export type PackOptions = Compression &
  Readonly<{
    scratch: Scratch;
    signal: AbortSignal;
    /** Called with the plain bytes done since the last call. */
    progress?: (bytes: number) => void;
    /** Receives every plain frame, in order. */
    tap?: (plain: Uint8Array) => Promise<void>;
  }>;

/** Packs `source` as the image with that role. */
export async function packImage(role: Role, source: ByteSource, options: PackOptions): Promise<PackedImage> {
  const blob = await options.scratch.create(`${role}.zst`);
  const plainDigest = createHash('sha256');
  const blobDigest = createHash('sha256');
  const entries: Uint8Array[] = [];
  for await (const { plain, packed } of compressFrames(source, options, options.signal)) {
    plainDigest.update(plain);
    blobDigest.update(packed);
    entries.push(encodeFrameEntry(packed.length, hash('sha256', packed, 'buffer')));
    await blob.write(blob.size, packed);
    await options.tap?.(plain);
    options.progress?.(plain.length);
  }
  const frames = Buffer.concat(entries);
  const image: Image = {
    role,
    kind: role === 'uki' ? 'file' : 'partition',
    size: source.size,
    sha256: plainDigest.digest('hex') as Sha256,
    frameSize: options.frameSize,
    frames: { size: frames.length, sha256: hash('sha256', frames, 'hex') as Sha256 },
    blob: { size: blob.size, sha256: blobDigest.digest('hex') as Sha256 },
  };
  return { image, frames, blob };
}
