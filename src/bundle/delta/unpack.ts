/** Extracts a release from its bundle: blocks to a scratch file, leaves to memory. */

import { UpdateError } from '../../errors.ts';
import type { Role, Sha256 } from '../../model.ts';
import { createScratch, type Scratch, type ScratchFile } from '../../system/disk/scratch.ts';
import type { DecodeJob } from '../decode/batch.ts';
import type { DecodePool, PlainRun } from '../decode/pool.ts';
import { type BlockReader, type Volume, volumeOf } from '../image/volume.ts';
import { type Manifest, manifestDigest, rootOf } from '../manifest.ts';
import type { Bundle } from '../reader.ts';
import { BLOCK, blockDigests, createTreeBuilder, DIGEST, leafDigestsAt, treeLayout } from '../verity.ts';
import { BLOCKS_LIMIT } from './delta-file.ts';

/** A release whose blocks have all been verified. Disposing it removes the blocks. */
export type UnpackedRelease = Readonly<{
  manifest: Manifest;
  manifestSha256: Sha256;
  volume: Volume;
  blocks: BlockReader;
  /** 32 bytes per block, in volume order. */
  leaves: Uint8Array;
}> &
  AsyncDisposable;

/** Extracts a release; the blocks stay in `scratch`, never all in memory. */
export async function unpackRelease(
  bundle: Bundle,
  pool: DecodePool,
  scratch: Scratch,
  signal: AbortSignal,
): Promise<UnpackedRelease> {
  const volume = volumeWithin(bundle);
  // Its own folder, so that its blocks can be removed before the build ends.
  const folder = await createScratch(scratch.path('release'));
  try {
    const file = await folder.create('blocks');
    const write = (block: number, bytes: Uint8Array): Promise<void> => file.write(block * BLOCK, bytes);
    const leaves = await leavesWhile(bundle, volume, pool, signal, write);
    return {
      manifest: bundle.manifest,
      manifestSha256: manifestDigest(bundle.manifestBytes),
      volume,
      blocks: readerOf(file, volume.blocks, signal),
      leaves,
      [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
    };
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

/** The leaves of a release without its blocks: the bundle contains those of the root image, so only the kernel image is hashed. */
export const leavesOfBundle = (bundle: Bundle, pool: DecodePool, signal: AbortSignal): Promise<Uint8Array> =>
  leavesWhile(bundle, volumeWithin(bundle), pool, signal);

function volumeWithin({ manifest }: Bundle): Volume {
  const volume = volumeOf(manifest);
  if (volume.blocks <= BLOCKS_LIMIT) return volume;
  throw new UpdateError('delta-unsupported', `The images have ${volume.blocks} blocks; ${BLOCKS_LIMIT} are possible.`);
}

/** Receives whole blocks; `first` is the number of the first one. */
type BlockSink = (block: number, bytes: Uint8Array) => Promise<void>;

/** Passes each block to `sink`, verifying the root's by its leaf. Without a sink, the root image is not read. */
async function leavesWhile(
  bundle: Bundle,
  volume: Volume,
  pool: DecodePool,
  signal: AbortSignal,
  sink?: BlockSink,
): Promise<Uint8Array> {
  const leaves = new Uint8Array(volume.blocks * DIGEST);
  const salt = Buffer.from(rootOf(bundle.manifest).verity.salt, 'hex');
  for (const part of volume.parts) {
    const known = part.role === 'root' ? await leavesInTree(bundle, pool, signal) : undefined;
    if (known !== undefined) leaves.set(known, part.first * DIGEST);
    if (known !== undefined && sink === undefined) continue;
    const check = known && { salt, leaves: known };
    for await (const run of plainRuns(bundle, part.role, pool, signal, check)) {
      const bytes = wholeBlocks(run.bytes);
      const block = part.first + run.offset / BLOCK;
      if (known === undefined) leaves.set(blockDigests(salt, bytes), block * DIGEST);
      await sink?.(block, bytes);
    }
  }
  return leaves;
}

/** The leaves in the verity image, verified by the root hash. */
async function leavesInTree(bundle: Bundle, pool: DecodePool, signal: AbortSignal): Promise<Uint8Array> {
  const { verity } = rootOf(bundle.manifest);
  const tree = new Uint8Array(treeLayout(verity.dataBlocks).size);
  for await (const { offset, bytes } of plainRuns(bundle, 'verity', pool, signal)) tree.set(bytes, offset);
  const read = async (offset: number, length: number): Promise<Uint8Array> => tree.slice(offset, offset + length);
  const leaves = await leafDigestsAt(read, verity, 0, verity.dataBlocks);
  const builder = createTreeBuilder(verity.salt, verity.dataBlocks);
  builder.addDigests(leaves);
  const found = builder.finish();
  if (found === verity.rootHash) return leaves;
  throw new UpdateError(
    'tree-invalid',
    `The leaves of the verity image give root hash ${found}, not ${verity.rootHash}.`,
  );
}

type Check = Readonly<{ salt: Uint8Array; leaves: Uint8Array }>;

async function* plainRuns(
  bundle: Bundle,
  role: Role,
  pool: DecodePool,
  signal: AbortSignal,
  check?: Check,
): AsyncGenerator<PlainRun> {
  const table = await bundle.frameTable(role, signal);
  const jobs = async function* (): AsyncGenerator<DecodeJob> {
    for await (const frame of bundle.compressedFrames(role, table, signal)) {
      const first = (frame.offset / BLOCK) * DIGEST;
      const leaves = check?.leaves.subarray(first, first + (frame.plainSize / BLOCK) * DIGEST);
      yield check && leaves ? { frame, check: { salt: check.salt, leaves } } : { frame };
    }
  };
  yield* pool.map(jobs());
}

/** Pads the last block of a file with zeros. */
function wholeBlocks(bytes: Uint8Array): Uint8Array {
  const size = Math.ceil(bytes.length / BLOCK) * BLOCK;
  if (size === bytes.length) return bytes;
  const whole = new Uint8Array(size);
  whole.set(bytes);
  return whole;
}

function readerOf(file: ScratchFile, blocks: number, signal: AbortSignal): BlockReader {
  const read = async (first: number, count: number): Promise<Uint8Array> => {
    if (first < 0 || count < 0 || first + count > blocks)
      throw new RangeError(`Blocks ${first} to ${first + count} are not within ${blocks}.`);
    const pieces: Uint8Array[] = [];
    for await (const piece of file.open(first * BLOCK, signal, (first + count) * BLOCK)) pieces.push(piece);
    return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  };
  return { blocks, read };
}
