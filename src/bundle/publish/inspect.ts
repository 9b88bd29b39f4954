/** Summarizes a manifest for people: sizes, ratios, frames. */

import type { Role, Sha256 } from '../../model.ts';
import { frameCount } from '../frames.ts';
import { type Manifest, manifestDigest, rootOf } from '../manifest.ts';
import type { Bundle } from '../reader.ts';

export type ImageSummary = Readonly<{
  role: Role;
  kind: 'partition' | 'file';
  size: number;
  packed: number;
  /** Compressed bytes per plain byte. */
  ratio: number;
  frames: number;
  frameSize: number;
  sha256: Sha256;
}>;

export type BundleSummary = Readonly<
  Omit<Manifest, 'schema' | 'images'> & {
    schema: 1;
    manifest: Sha256;
    size: number;
    rootHash: Sha256;
    salt: Sha256;
    images: readonly ImageSummary[];
  }
>;

/** The summary of an opened bundle. */
export function summarize({ manifest, manifestBytes, layout }: Bundle): BundleSummary {
  const { product, version, counter, architecture, minAgent } = manifest;
  const { rootHash, salt } = rootOf(manifest).verity;
  const images = manifest.images.map((image) => ({
    role: image.role,
    kind: image.kind,
    size: image.size,
    packed: image.blob.size,
    ratio: Math.round((1000 * image.blob.size) / image.size) / 1000,
    frames: frameCount(image),
    frameSize: image.frameSize,
    sha256: image.sha256,
  }));
  const release = { product, version, counter, architecture, minAgent };
  return { schema: 1, ...release, manifest: manifestDigest(manifestBytes), size: layout.size, rootHash, salt, images };
}
