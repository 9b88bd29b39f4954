/** Writes a bundle: packs images into scratch files first, because the manifest precedes them and contains their digests. */

import type { Sha256 } from '../../model.ts';
import type { Scratch } from '../../system/disk/scratch.ts';
import { type Files, moveFile } from '../../system/files.ts';
import type { ByteSource } from '../byte-source.ts';
import { entryName, MANIFEST_NAME } from '../layout.ts';
import { type Manifest, manifestDigest, serializeManifest } from '../manifest.ts';
import { type TarEntry, tarArchive } from '../tar.ts';
import { BLOCK, createTreeBuilder, superblock, treeLayout, treeUuid } from '../verity.ts';
import { type PackedImage, type PackOptions, packImage } from './pack.ts';

/** Plain bytes per frame: small enough for fetching single frames, large enough to compress well. */
export const FRAME_SIZE = 256 * 1024;
/** Measured on programs: 5 % fewer bytes than level 3 for twice the time; level 9 takes twice as long again for 0.7 % more. */
export const DEFAULT_LEVEL = 7;

export type WriterOptions = Omit<PackOptions, 'frameSize' | 'tap'> & Readonly<{ frameSize?: number }>;

/** The packed root and its tree, and the root hash for the UKI. */
export type PackedRoot = Readonly<{ rootHash: Sha256; root: PackedImage; verity: PackedImage }>;

/** Packs the root image and its verity tree. */
export async function packRoot(source: ByteSource, salt: Sha256, options: WriterOptions): Promise<PackedRoot> {
  const dataBlocks = source.size / BLOCK;
  const tree = await options.scratch.create('tree');
  const full: [offset: number, block: Uint8Array][] = [];
  const builder = createTreeBuilder(salt, dataBlocks, (offset, block) => void full.push([offset, block]));
  const flush = async (): Promise<void> => {
    for (const [offset, block] of full.splice(0)) await tree.write(offset, block);
  };
  const tap = async (plain: Uint8Array): Promise<void> => {
    builder.addBlocks(plain);
    await flush();
  };
  const root = await packImage('root', source, { frameSize: FRAME_SIZE, ...options, tap });
  const rootHash = builder.finish();
  await flush();
  await tree.write(0, superblock(salt, treeUuid(rootHash), dataBlocks));
  const verity = await packImage(
    'verity',
    { ...tree, name: 'verity tree', size: treeLayout(dataBlocks).size },
    { frameSize: FRAME_SIZE, ...options, progress: () => {} },
  );
  return { rootHash, root: { ...root, image: { ...root.image, verity: { rootHash, salt, dataBlocks } } }, verity };
}

export const packUki = (source: ByteSource, options: WriterOptions): Promise<PackedImage> =>
  packImage('uki', source, { frameSize: FRAME_SIZE, ...options });

/** The result of `writeBundle`. */
export type WrittenBundle = Readonly<{ manifest: Manifest; manifestDigest: Sha256; manifestSize: number }>;

/** Writes the bundle of these images to `output`, atomically. */
export async function writeBundle(
  output: string,
  about: Omit<Manifest, 'schema' | 'images'>,
  images: readonly PackedImage[],
  { files, scratch, signal }: Readonly<{ files: Files; scratch: Scratch; signal: AbortSignal }>,
): Promise<WrittenBundle> {
  const manifest: Manifest = { schema: 1, ...about, images: images.map((packed) => packed.image) };
  const bytes = serializeManifest(manifest);
  const entries = [
    { name: MANIFEST_NAME, size: bytes.length, content: once(bytes) },
    ...images.flatMap((packed) => imageEntries(packed, signal)),
  ];
  const unfinished = scratch.path('bundle');
  await files.write(unfinished, tarArchive(entries));
  await files.syncFile(unfinished);
  await moveFile(files, unfinished, output);
  return { manifest, manifestDigest: manifestDigest(bytes), manifestSize: bytes.length };
}

const imageEntries = ({ image, frames, blob }: PackedImage, signal: AbortSignal): TarEntry[] => [
  { name: entryName(image.role, 'frames'), size: frames.length, content: once(frames) },
  { name: entryName(image.role, 'blob'), size: image.blob.size, content: blob.open(0, signal) },
];

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
