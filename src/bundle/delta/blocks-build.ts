/** Builds a blocks file: it serves hosts on any old version, with the fewest bytes for versions known to the publisher. */

import { hash } from 'node:crypto';
import { createScratch } from '../../system/disk/scratch.ts';
import { rootOf } from '../manifest.ts';
import { BLOCK, blockDigests, DIGEST } from '../verity.ts';
import { serializeBlocksHead } from './blocks-head.ts';
import { chooseNews, packNews } from './blocks-news.ts';
import { type BuiltDelta, type DeltaOutput, writeDelta } from './delta-file.ts';
import { groupsOf } from './groups.ts';
import { SHORT, shorten } from './short-leaves.ts';
import type { UnpackedRelease } from './unpack.ts';

export type BlocksOptions = Readonly<{
  signal: AbortSignal;
  /** Called with the compressed bytes of the news so far, and their total. */
  progress?: (done: number, total: number) => void;
  level?: number;
  /** Shortens a leaf; replaceable, so that a test can produce collisions. */
  digest?: (leaf: Uint8Array) => Uint8Array;
}>;

/**
 * Writes the blocks file of `release`. `older` are the leaves of older releases with the same salt, newest first; without any, the file has
 * no news, and hosts fetch missing blocks from the bundle. Deterministic.
 */
export async function buildBlocks(
  release: Omit<UnpackedRelease, keyof AsyncDisposable>,
  older: readonly Uint8Array[],
  out: DeltaOutput,
  { signal, progress, level = NEWS_LEVEL, digest }: BlocksOptions,
): Promise<BuiltDelta> {
  const short = digest === undefined ? shorten : shortenWith(digest);
  const shorts = short(release.leaves);
  const news = chooseNews(shorts, older.map(short), zeroTest(release));
  await using folder = await createScratch(out.scratch.path('news'));
  const file = await folder.create('frames');
  const options = { level, signal, ...(progress && { progress }) };
  const frames = await packNews(release.blocks, news, file, options);
  const leavesSha256 = hash('sha256', shorts, 'buffer');
  const head = serializeBlocksHead({ groups: groupsOf(shorts), leavesSha256, news: news.blocks, frames });
  return await writeDelta(head, [once(shorts), file.open(0, signal)], out);
}

/** Measured on a point release: 3 % fewer bytes than level 17 for twice the time; level 22 gains nothing more. */
const NEWS_LEVEL = 19;

const shortenWith =
  (digest: (leaf: Uint8Array) => Uint8Array) =>
  (leaves: Uint8Array): Uint8Array => {
    const shorts = new Uint8Array((leaves.length / DIGEST) * SHORT);
    for (let at = 0; at * DIGEST < leaves.length; at += 1)
      shorts.set(digest(leaves.subarray(at * DIGEST, (at + 1) * DIGEST)).subarray(0, SHORT), at * SHORT);
    return shorts;
  };

/** Whether a block is all zeros, by its leaf. */
function zeroTest({ manifest, leaves }: Pick<UnpackedRelease, 'manifest' | 'leaves'>): (block: number) => boolean {
  const zero = blockDigests(Buffer.from(rootOf(manifest).verity.salt, 'hex'), new Uint8Array(BLOCK));
  return (block) => Buffer.compare(zero, leaves.subarray(block * DIGEST, (block + 1) * DIGEST)) === 0;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
