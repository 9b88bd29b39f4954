/** Two releases of one product with the deltas between them, all made by the real builders. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildBlocks } from '../../src/bundle/delta/blocks-build.ts';
import type { BuiltDelta, DeltaOutput } from '../../src/bundle/delta/delta-file.ts';
import { buildPatch } from '../../src/bundle/delta/patch-build.ts';
import { unpackRelease } from '../../src/bundle/delta/unpack.ts';
import { imageOf, type Manifest, manifestDigest, rootOf } from '../../src/bundle/manifest.ts';
import { openBundle } from '../../src/bundle/reader.ts';
import { createTreeBuilder, saltFor, superblock, treeLayout, treeUuid } from '../../src/bundle/verity.ts';
import type { Product, Release, Sha256, Version } from '../../src/model.ts';
import { createScratch } from '../../src/system/disk/scratch.ts';
import { realFiles } from '../../src/system/files.ts';
import type { TrustedDelta } from '../../src/verify/deltas.ts';
import { about, bundleBytes, noSignal, temporaryFolder } from './bundles.ts';
import { dice } from './dice.ts';
import { directPool } from './direct-pool.ts';
import { peFile } from './pe.ts';
import { memorySource } from './sources.ts';

export const PRODUCT = 'shop' as Product;
export const BLOCK = 4096;

/** A release as it was built and as it lies on a disk. */
export type Built = Readonly<{
  version: Version;
  root: Uint8Array;
  tree: Uint8Array;
  rootHash: Sha256;
  uki: Uint8Array;
  bundle: Uint8Array;
  manifest: Manifest;
  expected: Readonly<{ sha256: Sha256; size: number }>;
  release: Release;
}>;

/** All that the builders of deltas need of a release. */
export type Bundled = Pick<Built, 'bundle' | 'expected' | 'manifest'>;

export type DeltaFile = Readonly<{ delta: TrustedDelta; bytes: Uint8Array }>;

/** Blocks of a file system: `change` gives the seed of a block that is to differ from the one that its number gives, 0 for zeros. */
export function rootImage(blocks: number, change: ReadonlyMap<number, number> = new Map()): Uint8Array {
  const root = new Uint8Array(blocks * BLOCK);
  for (let block = 0; block < blocks; block += 1) root.set(blockOf(change.get(block) ?? 1000 + block), block * BLOCK);
  return root;
}

/** A block that compresses a little; the same for the same seed. */
export function blockOf(seed: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  if (seed === 0) return bytes;
  const chance = dice(seed);
  for (let at = 0; at < BLOCK; at += 4) bytes[at] = chance.roll(256);
  return bytes;
}

/** A release of this root; its UKI has a kernel of so many blocks, of which the first is its own. */
export async function buildRelease(version: string, root: Uint8Array, kernelBlocks = 12): Promise<Built> {
  const salt = saltFor(about.product);
  const dataBlocks = root.length / BLOCK;
  const tree = new Uint8Array(treeLayout(dataBlocks).size);
  const builder = createTreeBuilder(salt, dataBlocks, (offset, block) => tree.set(block, offset));
  builder.addBlocks(root);
  const rootHash = builder.finish();
  tree.set(superblock(salt, treeUuid(rootHash), dataBlocks));
  const kernel = Buffer.concat(
    Array.from({ length: kernelBlocks }, (_, at) => blockOf(at === 0 ? 77 + Number(version) : 5000 + at)),
  );
  const uki = peFile([
    ['.linux', kernel],
    ['.osrel', `ID=${PRODUCT}\nVERSION_ID=${version}\nIMAGE_VERSION=${version}\n`],
    ['.cmdline', `quiet roothash=${rootHash}`],
  ]);
  const own = { product: PRODUCT, version: version as Version, counter: Number(version) };
  const { bytes, manifest, manifestBytes } = await bundleBytes({ root, uki }, { about: own, frameSize: 32 * 1024 });
  const expected = { sha256: manifestDigest(manifestBytes), size: manifestBytes.length };
  const release = { ...own, manifest: expected.sha256 };
  return { version: own.version, root, tree, rootHash, uki, bundle: bytes, manifest, expected, release };
}

/** The blocks file for `to`, with news for hosts on `from`. */
export const blocksFile = (from: Bundled, to: Bundled, digest?: (leaf: Uint8Array) => Uint8Array): Promise<DeltaFile> =>
  build('blocks', from, to, (old, fresh, out) =>
    buildBlocks(fresh, [old.leaves], out, { signal: noSignal, level: 3, ...(digest ? { digest } : {}) }),
  );

/** The patch from the one to the other. */
export const patchFile = async (from: Bundled, to: Bundled): Promise<DeltaFile> => {
  const { delta, bytes } = await build('patch', from, to, (old, fresh, out) =>
    buildPatch(old, fresh, out, { signal: noSignal, level: 3 }),
  );
  const uki = imageOf(from.manifest, 'uki')?.sha256;
  return {
    bytes,
    delta: {
      ...delta,
      from: {
        version: from.manifest.version,
        rootHash: rootOf(from.manifest).verity.rootHash,
        ...(uki ? { uki } : {}),
      },
    },
  };
};

type Unpacked = Awaited<ReturnType<typeof unpackRelease>>;

async function build(
  kind: TrustedDelta['kind'],
  from: Bundled,
  to: Bundled,
  make: (old: Unpacked, fresh: Unpacked, out: DeltaOutput) => Promise<BuiltDelta>,
): Promise<DeltaFile> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'delta');
  await using scratch = await createScratch(path);
  const unpacked = async ({ bundle, expected }: Bundled): Promise<Unpacked> =>
    unpackRelease(await openBundle(memorySource(bundle), expected, noSignal), directPool(), scratch, noSignal);
  await using old = await unpacked(from);
  await using fresh = await unpacked(to);
  const { head, size, sha256 } = await make(old, fresh, { path, files: realFiles, scratch });
  return { delta: { kind, path: kind, size, sha256, head }, bytes: new Uint8Array(await readFile(path)) };
}

/** The salt that both have. */
export const saltOf = ({ manifest }: Built): string => rootOf(manifest).verity.salt;
