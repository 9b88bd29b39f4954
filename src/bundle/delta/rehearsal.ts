/** Builds both deltas, and counts the exact bytes that a host on the old release would fetch of each. */

import type { DecodePool } from '../decode/pool.ts';
import type { Bundle } from '../reader.ts';
import { buildBlocks } from './blocks-build.ts';
import { parseBlocksHead } from './blocks-head.ts';
import { knownLeaves, planBlocks } from './blocks-plan.ts';
import { blockSet } from './copy.ts';
import type { DeltaOutput } from './delta-file.ts';
import { buildPatch } from './patch-build.ts';
import { lookup, SHORT, shorten } from './short-leaves.ts';
import { type UnpackedRelease, unpackRelease } from './unpack.ts';

export type Rehearsal = Readonly<{ patch: number; blocks: number }>;

export type RehearsalTools = Readonly<{
  pool: DecodePool;
  /** The scratch folder for both releases. */
  output: Omit<DeltaOutput, 'path'>;
  signal: AbortSignal;
  progress: (what: 'patch' | 'blocks', done: number, total: number) => void;
}>;

/** Emptied afterwards. */
export async function rehearse(to: Bundle, from: Bundle, tools: RehearsalTools): Promise<Rehearsal> {
  const { pool, output, signal } = tools;
  await using fresh = await unpackRelease(to, pool, output.scratch, signal);
  await using old = await unpackRelease(from, pool, output.scratch, signal);
  return { blocks: await blocksBytes(fresh, old, tools), patch: await patchBytes(fresh, old, tools) };
}

async function patchBytes(
  to: UnpackedRelease,
  from: UnpackedRelease,
  { output, signal, progress }: RehearsalTools,
): Promise<number> {
  const options = { signal, progress: (done: number, total: number) => progress('patch', done, total) };
  return (await buildPatch(from, to, { ...output, path: output.scratch.path('patch') }, options)).size;
}

/** The head, the leaves that the old release lacks, and the frames of the news, for a file that knows the old release. */
async function blocksBytes(
  to: UnpackedRelease,
  from: UnpackedRelease,
  { output, signal, progress }: RehearsalTools,
): Promise<number> {
  const options = { signal, progress: (done: number, total: number) => progress('blocks', done, total) };
  const path = output.scratch.path('blocks');
  const { head } = await buildBlocks(to, [from.leaves], { ...output, path }, options);
  const file = await output.files.read(path);
  const parsed = parseBlocksHead((file ?? new Uint8Array()).subarray(0, head.size), to.volume);
  const old = shorten(from.leaves);
  const { unknown } = knownLeaves(parsed, old);
  const { manifest, volume } = to;
  const kept = blockSet(volume.blocks);
  const plan = planBlocks({ head: parsed, shorts: shorten(to.leaves), old: lookup(old), kept, volume, manifest });
  const { offsets } = parsed.frames;
  const frames = plan.frames.reduce((sum, frame) => sum + (offsets[frame + 1] ?? 0) - (offsets[frame] ?? 0), 0);
  return head.size + unknown.reduce((sum, { count }) => sum + count * SHORT, 0) + frames;
}
