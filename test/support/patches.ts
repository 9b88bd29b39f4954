/** Volumes in memory, patches between them, and a host that applies a patch as simply as can be. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuiltDelta } from '../../src/bundle/delta/delta-file.ts';
import { buildPatch, type PatchOptions, type PatchSide } from '../../src/bundle/delta/patch-build.ts';
import { unpackSegment } from '../../src/bundle/delta/patch-decode.ts';
import { type PatchHead, type PatchSegment, parsePatchHead } from '../../src/bundle/delta/patch-head.ts';
import { type BlockReader, type Extent, volume } from '../../src/bundle/image/volume.ts';
import { BLOCK, blockDigests } from '../../src/bundle/verity.ts';
import type { Sha256 } from '../../src/model.ts';
import { createScratch } from '../../src/system/disk/scratch.ts';
import { realFiles } from '../../src/system/files.ts';
import { about, noSignal, temporaryFolder } from './bundles.ts';

const SALT = '00'.repeat(32) as Sha256;

/** Blocks in memory. */
export const memoryBlocks = (bytes: Uint8Array): BlockReader => ({
  blocks: bytes.length / BLOCK,
  read: async (first, count) => bytes.subarray(first * BLOCK, (first + count) * BLOCK),
});

/** A release whose root image has these blocks, and nothing else. */
export function patchSide(root: Uint8Array): PatchSide {
  return {
    volume: volume([{ role: 'root', size: root.length }]),
    blocks: memoryBlocks(root),
    leaves: blockDigests(Buffer.from(SALT, 'hex'), root),
    manifest: sideManifest(root.length),
  };
}

/** As little of a manifest as a patch needs. */
export function sideManifest(size: number): PatchSide['manifest'] {
  const sealed = { size: 1, sha256: SALT };
  const verity = { rootHash: SALT, salt: SALT, dataBlocks: size / BLOCK };
  const root = {
    role: 'root',
    kind: 'partition',
    size,
    sha256: SALT,
    frameSize: 1,
    frames: sealed,
    blob: sealed,
    verity,
  };
  return { schema: 1, ...about, images: [root as PatchSide['manifest']['images'][number]] };
}

/** The bytes of the patch from one side to the other. */
export async function patchBytes(
  from: PatchSide,
  to: PatchSide,
  options: Partial<PatchOptions> = {},
): Promise<BuiltDelta & { bytes: Uint8Array }> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'patch');
  await using scratch = await createScratch(path);
  const built = await buildPatch(from, to, { path, files: realFiles, scratch }, { signal: noSignal, ...options });
  return { ...built, bytes: await readFile(path) };
}

/** The head of a patch. */
export const headOf = (bytes: Uint8Array, { head, size }: BuiltDelta, from: PatchSide, to: PatchSide): PatchHead =>
  parsePatchHead(bytes.subarray(0, head.size), from.volume, to.volume, size);

/** These blocks, one extent after the other. */
export const blocksOf = (bytes: Uint8Array, extents: readonly Extent[]): Uint8Array =>
  Buffer.concat(extents.map(({ first, count }) => bytes.subarray(first * BLOCK, (first + count) * BLOCK)));

/** The packed bytes of a segment. */
export const packedOf = (bytes: Uint8Array, { offset, packedSize }: PatchSegment): Uint8Array =>
  bytes.subarray(offset, offset + packedSize);

/** The new volume, put together from the old one. */
export async function applyPatch(
  bytes: Uint8Array,
  head: PatchHead,
  old: Uint8Array,
  blocks: number,
): Promise<Uint8Array> {
  const made = new Uint8Array(blocks * BLOCK);
  const put = (to: number, from: Uint8Array, first: number, count: number): void =>
    made.set(from.subarray(first * BLOCK, (first + count) * BLOCK), to * BLOCK);
  for (const { to, from, count } of head.copies) put(to, old, from, count);
  for (const segment of head.segments) {
    const plain = unpackSegment(segment, packedOf(bytes, segment), blocksOf(old, segment.dictionary));
    let at = 0;
    for (const { first, count } of segment.to) {
      put(first, plain, at, count);
      at += count;
    }
    for (const { to, from, count } of segment.also) put(to, plain, from, count);
  }
  return made;
}
