/** Builds a bundle: tree or image to root image, kernel to UKI, both into one file. */

import type { Product, Sha256, Version } from '../../model.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import { createScratch, type Scratch } from '../../system/disk/scratch.ts';
import type { Files } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import type { ByteSource } from '../byte-source.ts';
import type { Owner } from '../image/owners.ts';
import { type RootFormat, rootImage } from '../image/root.ts';
import { checkUki, makeUki, type UkiIdentity, type UkiParts } from '../image/uki.ts';
import { bundleLayout } from '../layout.ts';
import type { Architecture, Manifest } from '../manifest.ts';
import { BLOCK, saltFor } from '../verity.ts';
import type { PackedImage } from './pack.ts';
import { type PackedRoot, packRoot, packUki, type WriterOptions, writeBundle } from './writer.ts';

/** The first agent that reads such bundles. Not the version of the builder: hosts run an older agent until they have installed the release. */
export const OLDEST_AGENT = '0.1.0';

export type BuildInput = Readonly<{
  product: Product;
  version: Version;
  counter: number;
  architecture: Architecture;
  minAgent: string;
  /** An image, or the tree to build one from. */
  root: string;
  format: RootFormat;
  owner: Owner;
  uki: Readonly<{ file: string }> | UkiParts;
  output: string;
  level: number;
  /** The time of the release, in seconds since the epoch: nothing in a bundle is newer, or reveals the time of the build. */
  epoch: number;
}>;

/** The progress of the build, in plain bytes of an image. */
export type BuildProgress = (stage: 'root image' | 'kernel image', done: number, total: number) => void;

export type BuildTools = Readonly<{ exec: Exec; files: Files; signal: AbortSignal; progress?: BuildProgress }>;

export type BuildResult = Readonly<{ manifest: Manifest; manifestDigest: Sha256; rootHash: Sha256; size: number }>;

/** Builds the bundle at `input.output`, atomically. */
export async function buildBundle(input: BuildInput, tools: BuildTools): Promise<BuildResult> {
  await using scratch = await createScratch(input.output);
  const { rootHash, root, verity } = await buildRoot(input, tools, scratch);
  const uki = await buildUki(input, { ...input, rootHash }, tools, scratch);
  const { product, version, counter, architecture, minAgent } = input;
  const about = { product, version, counter, architecture, minAgent };
  const written = await writeBundle(input.output, about, [verity, root, uki], { ...tools, scratch });
  const { size } = bundleLayout(written.manifestSize, written.manifest);
  return { manifest: written.manifest, manifestDigest: written.manifestDigest, rootHash, size };
}

async function buildRoot(input: BuildInput, tools: BuildTools, scratch: Scratch): Promise<PackedRoot> {
  const identity = `${input.product} ${input.version}`;
  await using image = await fileSource(await rootImage(input.root, { ...input, ...tools, scratch, identity }));
  const source = paddedToBlocks(image);
  return await packRoot(
    source,
    saltFor(input.product),
    writerOptions(input, tools, scratch, 'root image', source.size),
  );
}

async function buildUki(
  input: BuildInput,
  identity: UkiIdentity,
  tools: BuildTools,
  scratch: Scratch,
): Promise<PackedImage> {
  const path =
    'file' in input.uki
      ? input.uki.file
      : await makeUki(input.uki, identity, input.architecture, { ...tools, scratch, epoch: input.epoch });
  await using source = await fileSource(path);
  await checkUki(source, identity, tools.signal);
  return await packUki(source, writerOptions(input, tools, scratch, 'kernel image', source.size));
}

function writerOptions(
  { level }: BuildInput,
  { signal, progress }: BuildTools,
  scratch: Scratch,
  stage: 'root image' | 'kernel image',
  total: number,
): WriterOptions {
  let done = 0;
  const advance = (bytes: number): void => {
    done = Math.min(total, done + bytes);
    progress?.(stage, done, total);
  };
  return { scratch, signal, level, progress: advance };
}

/** Pads to whole blocks, the unit of partitions and verity trees. */
function paddedToBlocks(source: ByteSource): ByteSource {
  const size = Math.ceil(source.size / BLOCK) * BLOCK;
  if (size === source.size) return source;
  return {
    name: source.name,
    size,
    async *open(offset, signal, end = size) {
      if (offset < source.size) yield* source.open(offset, signal, Math.min(end, source.size));
      const zeros = end - Math.max(offset, source.size);
      if (zeros > 0) yield new Uint8Array(zeros);
    },
  };
}
