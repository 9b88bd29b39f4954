/** One image from a bundle to its partition: correct blocks are kept, the rest is streamed and checked; then it is read back. */

import { createHash } from 'node:crypto';
import type { DecodeJob } from '../../bundle/decode/batch.ts';
import type { DecodePool } from '../../bundle/decode/pool.ts';
import type { Image } from '../../bundle/manifest.ts';
import type { Bundle } from '../../bundle/reader.ts';
import { createTreeBuilder } from '../../bundle/verity.ts';
import { UpdateError } from '../../errors.ts';
import { writeImage } from '../../partitions/image-writer.ts';
import { keepable, readBack } from '../../partitions/read-back.ts';
import type { BlockTarget } from '../../system/disk/block-target.ts';
import type { Leaves } from './leaves.ts';

export type Progress = (bytesDone: number) => void;

/** The inputs for installing one image; `leaves` if the verity tree of a root image is available. */
export type ImageJob = Readonly<{
  bundle: Bundle;
  image: Image;
  target: BlockTarget;
  pool: DecodePool;
  leaves?: Leaves;
  /** The search for correct frames ends after this many wrong ones in a row; default 16. */
  patience?: number;
  signal: AbortSignal;
  progress?: Progress;
}>;

/** Fetches only the frames that are needed. Returns how many bytes were kept. */
export async function installImage(job: ImageJob): Promise<number> {
  const { image, target, pool, signal, progress } = job;
  const kept = job.leaves ? await keptFrames(job, job.leaves) : new Set<number>();
  const keptBytes = [...kept].reduce((sum, frame) => sum + plainSize(image, frame), 0);
  await writeImage(target, pool.map(decodeJobs(job, kept)), {
    size: image.size,
    kept: keptBytes,
    signal,
    ...(progress ? { progress } : {}),
  });
  return keptBytes;
}

/** The medium's content has the signed root hash. */
export async function readBackRoot(job: Omit<ImageJob, 'bundle'>): Promise<void> {
  const { image, target, pool, signal, progress } = job;
  if (!image.verity) throw new UpdateError('manifest-invalid', 'The root image has no verity tree.');
  const { salt, dataBlocks, rootHash } = image.verity;
  const tree = createTreeBuilder(salt, dataBlocks);
  const judge = async (bytes: Uint8Array, offset: number): Promise<void> => {
    tree.addDigests(await pool.digests(salt, bytes));
    progress?.(offset + bytes.length);
  };
  await readBack(target, dataBlocks * BLOCK, judge, { signal });
  const found = tree.finish();
  if (found !== rootHash)
    throw new UpdateError('read-back-mismatch', `${target.name} has the root hash ${found}, not ${rootHash}.`);
}

/** The medium's content has the signed digest. */
export async function readBackDigest(job: Omit<ImageJob, 'bundle' | 'pool'>): Promise<void> {
  const found = await digestOf(job);
  if (found !== job.image.sha256)
    throw new UpdateError('read-back-mismatch', `${job.target.name} has the digest ${found}, not ${job.image.sha256}.`);
}

/** Whether the medium already holds the complete image. */
export async function isPresent(job: Omit<ImageJob, 'bundle' | 'pool'>): Promise<boolean> {
  return job.target.size >= job.image.size && (await digestOf(job)) === job.image.sha256;
}

/** The digest of the medium, over the length of the image. */
export async function digestOf({ image, target, signal }: Omit<ImageJob, 'bundle' | 'pool'>): Promise<string> {
  const digest = createHash('sha256');
  await readBack(target, image.size, (bytes) => void digest.update(bytes), { signal });
  return digest.digest('hex');
}

/**
 * The frames that an earlier attempt left on the medium. The search ends after a run of missing frames: a slot that
 * holds another release is not read in full for nothing.
 */
function keptFrames(
  { image, target, pool, signal, patience = PATIENCE }: ImageJob,
  leaves: Leaves,
): Promise<Set<number>> {
  const isRight = async (frame: number, bytes: Uint8Array): Promise<boolean> =>
    Buffer.compare(await pool.digests(leaves.salt, bytes), await leaves.of(frame)) === 0;
  return keepable(target, image.frameSize, image.size, isRight, { signal, patience });
}

async function* decodeJobs(job: ImageJob, kept: ReadonlySet<number>): AsyncGenerator<DecodeJob> {
  const { bundle, image, leaves, signal } = job;
  const table = await bundle.frameTable(image.role, signal);
  for (const [from, until] of missingRuns(table.count, kept)) {
    for await (const frame of bundle.compressedFrames(image.role, table, signal, from, until)) {
      const check = leaves && { salt: Buffer.from(leaves.salt, 'hex'), leaves: await leaves.of(frame.index) };
      yield check ? { frame, check } : { frame };
    }
  }
}

/** The runs of frames that are not kept, as [first, one past the last]. */
export function missingRuns(count: number, kept: ReadonlySet<number>): readonly (readonly [number, number])[] {
  const runs: [number, number][] = [];
  for (let frame = 0; frame < count; frame++) {
    if (kept.has(frame)) continue;
    const last = runs.at(-1);
    if (last && last[1] === frame) last[1] = frame + 1;
    else runs.push([frame, frame + 1]);
  }
  return runs;
}

const plainSize = (image: Image, frame: number): number =>
  Math.min(image.frameSize, image.size - frame * image.frameSize);

const BLOCK = 4096;
const PATIENCE = 16;
