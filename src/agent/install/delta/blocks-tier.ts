/** The blocks tier: copies the blocks that the running system has and fetches the rest, by an index that fits any old version. */

import { hash } from 'node:crypto';
import { giveBack } from '../../../bundle/decode/memory.ts';
import { type BlocksHead, parseBlocksHead } from '../../../bundle/delta/blocks-head.ts';
import {
  addLeaves,
  type BlocksPlan,
  knownLeaves,
  type PlanInput,
  planBlocks,
} from '../../../bundle/delta/blocks-plan.ts';
import { type BlockSet, blockSet } from '../../../bundle/delta/copy.ts';
import { blocksIn } from '../../../bundle/delta/patch-head.ts';
import { lookup, SHORT, sameShort, shorten } from '../../../bundle/delta/short-leaves.ts';
import { frameCount } from '../../../bundle/frames.ts';
import type { Extent } from '../../../bundle/image/volume.ts';
import { BLOCK } from '../../../bundle/verity.ts';
import { UpdateError } from '../../../errors.ts';
import { type Assembly, openAssembly, writeSame } from './assembly.ts';
import { copyBlocks } from './copying.ts';
import { bundleFrames, fetchFrames, framesHolding, placeMissing } from './frames.ts';
import { type Assembled, begin, type DeltaJob, leavesName, readHead, standingOf } from './job.ts';
import { together } from './together.ts';

/** Ends with every block of the release in its place, the copied ones unverified. */
export async function assembleFromBlocks(job: DeltaJob): Promise<Assembled> {
  const { volume, old, delta } = job;
  const found = await readHead(job);
  const head = parseBlocksHead(found.bytes, volume);
  if (head.fileSize !== delta.size)
    throw new UpdateError('delta-invalid', `The head describes a file of ${head.fileSize} bytes, not ${delta.size}.`);
  const standing = await standingOf(job, found);
  const standingShorts = shorten(standing.leaves);
  const shorts = await allLeaves(job, head, standingShorts);
  const kept = await standing.prove(alike(standingShorts, shorts, volume.blocks));
  for (const each of [standing.leaves, standingShorts]) giveBack(each);
  const wanted = { head, shorts, volume, manifest: job.bundle.manifest };
  const assembly = await takeAll(job, wanted, planned(job, { ...wanted, old: lookup(old.shorts), kept }), kept);
  if (assembly.present.count < volume.blocks) await fetchRest(job, assembly);
  await assembly.finish();
  return { promised: shorts, mend: (wrong) => mend(job, wanted, wrong) };
}

/** A separate function, so that the old system's index is freed before the work begins. */
function planned(job: DeltaJob, input: PlanInput): BlocksPlan {
  const plan = planBlocks(input);
  tellPrice(job, input.head, plan);
  return plan;
}

type Wanted = Omit<PlanInput, 'old' | 'kept'>;

/** Begins, then copies and fetches in parallel: one waits for the disk while the other waits for the network. */
async function takeAll(job: DeltaJob, wanted: Wanted, plan: BlocksPlan, kept: BlockSet): Promise<Assembly> {
  const { old, log, tally } = job;
  const assembly = await begin(job, kept);
  let unreadable = 0;
  await together(
    job.signal,
    async (signal) => {
      for (const extent of plan.zeros) await writeZeros(assembly, extent);
      const { copies } = plan;
      const copied = await copyBlocks({ copies, reader: old.reader, assembly, log, signal });
      tally.copied = copied * BLOCK;
      unreadable = blocksIn(copies) - copied;
    },
    (signal) => fetchPlanned({ ...job, signal }, wanted.head, plan, assembly),
  );
  if (unreadable > 0) await fetchAnew(job, wanted, assembly);
  return assembly;
}

/** Block 0 is removed while the slot is written, so it must be written again, too. */
async function mend(job: DeltaJob, wanted: Wanted, wrong: BlockSet): Promise<void> {
  const { volume, slot, uki, tally } = job;
  const kept = blockSet(volume.blocks);
  for (let block = 1; block < volume.blocks; block += 1) if (!wrong.has(block)) kept.add(block);
  tally.copied = Math.max(0, tally.copied - wrong.count * BLOCK);
  const assembly = await openAssembly({ volume, ...slot, kept, ...(uki ? { uki } : {}) });
  await fetchAnew(job, wanted, assembly);
  if (assembly.present.count < volume.blocks) await fetchRest(job, assembly);
  await assembly.finish();
}

/** Planned without the old system: its damaged blocks are among the missing ones. */
const fetchAnew = (job: DeltaJob, wanted: Wanted, assembly: Assembly): Promise<void> =>
  fetchPlanned(job, wanted.head, planBlocks({ ...wanted, old: undefined, kept: assembly.present }), assembly);

/** The short leaves of the whole release: from the slots where possible, otherwise from the cache or the server. */
async function allLeaves(job: DeltaJob, head: BlocksHead, standing: Uint8Array): Promise<Uint8Array> {
  const { delta, file, old, cache, fetchRanges, signal } = job;
  const cached = await cache.load(leavesName(delta.head));
  if (cached && hash('sha256', cached, 'buffer').equals(head.leavesSha256)) return cached;
  const { shorts, unknown } = knownLeaves(head, old.shorts, standing);
  const ranges = unknown.map(({ first, count }) => ({
    start: head.size + first * SHORT,
    end: head.size + (first + count) * SHORT,
  }));
  const extentOf = (range: number): Extent => unknown[range] ?? { first: 0, count: 0 };
  const check = (range: number, bytes: Uint8Array): void => addLeaves(head, shorts, extentOf(range), bytes);
  for await (const { range, bytes } of fetchRanges(file.mirrors, ranges, { signal, check, plan: LEAF_PLAN }))
    check(range, bytes);
  if (unknown.length > 0) await cache.save(leavesName(delta.head), shorts);
  return shorts;
}

/** Blocks that may already be correct. */
function alike(standing: Uint8Array, wanted: Uint8Array, blocks: number): BlockSet {
  const set = blockSet(blocks);
  for (let block = 0; block < blocks; block += 1) if (sameShort(standing, block, wanted, block)) set.add(block);
  return set;
}

/** For a host with almost nothing of the release, the full image is cheaper. */
function tellPrice({ bundle, fullSize, planned: tell }: DeltaJob, { frames }: BlocksHead, plan: BlocksPlan): void {
  const news = plan.frames.reduce((sum, at) => sum + (frames.offsets[at + 1] ?? 0) - (frames.offsets[at] ?? 0), 0);
  const rest = plan.rest.reduce((sum, { role }) => {
    const image = bundle.image(role);
    return sum + image.blob.size / frameCount(image);
  }, 0);
  const bytes = Math.round(news + rest);
  tell(bytes);
  if (bytes >= fullSize)
    throw new UpdateError('delta-unsupported', `Blocks would take ${bytes} bytes, the full image ${fullSize}.`);
}

async function writeZeros(assembly: Assembly, { first, count }: Extent): Promise<void> {
  for (let done = 0; done < count; done += ZEROS) {
    const part = Math.min(ZEROS, count - done);
    await assembly.write(first + done, new Uint8Array(part * BLOCK));
  }
}

async function fetchPlanned(job: DeltaJob, head: BlocksHead, plan: BlocksPlan, assembly: Assembly): Promise<void> {
  const { bundle, bundleFile, volume, signal } = job;
  const { frames, news } = head;
  const wanted = plan.frames.map((at) => ({
    range: { start: frames.offsets[at] ?? 0, end: frames.offsets[at + 1] ?? 0 },
    sha256: frames.sha256(at),
    offset: (frames.firsts[at] ?? 0) * BLOCK,
    plainSize: ((frames.firsts[at + 1] ?? 0) - (frames.firsts[at] ?? 0)) * BLOCK,
  }));
  await fetchFrames(job, wanted, ({ offset, bytes }) =>
    writeSame(assembly, bytes, (index) => plan.places(news[offset / BLOCK + index] ?? 0)),
  );
  const fromBundle = { ...job, file: bundleFile };
  const rest = await bundleFrames(bundle, volume, plan.rest, signal);
  await fetchFrames(fromBundle, rest, ({ offset, bytes }) =>
    writeSame(assembly, bytes, (index) => plan.places(offset / BLOCK + index)),
  );
}

/** The blocks that damaged frames should have supplied. */
async function fetchRest(job: DeltaJob, assembly: Assembly): Promise<void> {
  const { bundle, bundleFile, volume, signal } = job;
  const left = framesHolding(bundle, volume, assembly.present.missingRuns());
  const last = await bundleFrames(bundle, volume, left, signal);
  await fetchFrames({ ...job, file: bundleFile }, last, (run) => placeMissing(assembly, volume, run));
  if (assembly.present.count === volume.blocks) return;
  await assembly.flush();
  throw new UpdateError('delta-mismatch', `${volume.blocks - assembly.present.count} blocks could not be fetched.`);
}

// A kibibyte of leaves stands for half a mebibyte of blocks: the gap between two groups is soon larger than the groups, and
// another request costs some 400 bytes of headers.
const LEAF_PLAN = { gap: 1024 };

/** Blocks of zeros per write. */
const ZEROS = 128;
