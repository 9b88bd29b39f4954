/** The patch tier: a file made for exactly the running version, read in one pass. */

import { hash } from 'node:crypto';
import { type Cursor, createCursor } from '../../../bundle/cursor.ts';
import { giveBack } from '../../../bundle/decode/memory.ts';
import { type BlockSet, blockSet, type Copy, extentsWhere } from '../../../bundle/delta/copy.ts';
import { blocksIn, type PatchHead, type PatchSegment, parsePatchHead } from '../../../bundle/delta/patch-head.ts';
import { SHORT, sameShort, shorten } from '../../../bundle/delta/short-leaves.ts';
import { BLOCK, DIGEST } from '../../../bundle/verity.ts';
import { asUpdateError, UpdateError } from '../../../errors.ts';
import { alignedBuffers } from '../../../system/disk/aligned-memory.ts';
import { type Assembly, writeMissing } from './assembly.ts';
import { copyBlocks } from './copying.ts';
import { type Assembled, begin, type DeltaJob, readHead, standingOf } from './job.ts';
import { ahead } from './read-ahead.ts';
import type { SlotReader } from './slot-reader.ts';
import type { Standing } from './target-volume.ts';
import { together } from './together.ts';

/** Ends with every block of the release in its place, or with `delta-mismatch` and only the damaged ones missing. */
export async function assembleFromPatch(job: DeltaJob): Promise<Assembled> {
  const { volume, old, delta, log } = job;
  const head = await readHead(job);
  const patch = parsePatchHead(head.bytes, old.volume, volume, delta.size);
  const kept = await keptBlocks(job, patch, await standingOf(job, head));
  const needed = patch.segments.filter((segment) => isNeeded(segment, kept));
  job.planned(needed.reduce((sum, { packedSize }) => sum + packedSize, 0));
  const assembly = await begin(job, kept);
  const copies = missingCopies(patch.copies, assembly.present);
  // In parallel: one waits for the disk while the other computes.
  await together(
    job.signal,
    async (signal) => {
      job.tally.copied = (await copyBlocks({ copies, reader: old.reader, assembly, log, signal })) * BLOCK;
    },
    async (signal) => {
      for (const run of runsOf(needed)) await applyRun({ ...job, signal }, assembly, run);
    },
  );
  await assembly.flush();
  const missing = volume.blocks - assembly.present.count;
  if (missing > 0) throw new UpdateError('delta-mismatch', `The patch lacks ${missing} blocks.`);
  await assembly.finish();
  return { promised: promisedBy(patch.copies, old.shorts, volume.blocks), mend: giveUp };
}

/** The old system's tree for the copied blocks. */
function promisedBy(copies: readonly Copy[], old: Uint8Array, blocks: number): Uint8Array {
  const promised = new Uint8Array(blocks * SHORT);
  for (const { to, from, count } of copies)
    promised.set(old.subarray(from * SHORT, (from + count) * SHORT), to * SHORT);
  return promised;
}

/** The patch contains only the blocks that the old system lacks. */
async function giveUp({ count }: BlockSet): Promise<never> {
  throw new UpdateError('delta-mismatch', `${count} blocks of the running system do not match its tree.`);
}

/** The data of an earlier attempt: whole segments, and copies block by block. */
async function keptBlocks(
  { volume, old }: DeltaJob,
  { copies, segments }: PatchHead,
  standing: Standing,
): Promise<BlockSet> {
  const { leaves } = standing;
  const wanted = blockSet(volume.blocks);
  const shorts = shorten(leaves);
  for (const copy of copies) addRight(wanted, shorts, copy, old.shorts);
  for (const segment of segments) {
    const made = Buffer.concat(segment.to.map(({ first, count }) => slice(leaves, first, count)));
    if (!isChecked(segment, made)) continue;
    for (const { first, count } of segment.to) wanted.addRange(first, count);
    for (const { to, from, count } of segment.also)
      for (let block = 0; block < count; block += 1)
        if (
          made
            .subarray((from + block) * DIGEST)
            .subarray(0, DIGEST)
            .equals(slice(leaves, to + block, 1))
        )
          wanted.add(to + block);
  }
  const kept = await standing.prove(wanted);
  for (const each of [leaves, shorts]) giveBack(each);
  return kept;
}

/** Adds the present blocks of a copy. A separate function, so that it is compiled once, not for every copy. */
function addRight(wanted: BlockSet, shorts: Uint8Array, { to, from, count }: Copy, old: Uint8Array): void {
  for (let block = 0; block < count; block += 1)
    if (sameShort(shorts, to + block, old, from + block)) wanted.add(to + block);
}

const slice = (leaves: Uint8Array, first: number, count: number): Uint8Array =>
  leaves.subarray(first * DIGEST, (first + count) * DIGEST);

const isChecked = ({ check }: PatchSegment, leaves: Uint8Array): boolean =>
  hash('sha256', leaves, 'buffer').subarray(0, check.length).equals(check);

const isNeeded = ({ to, also }: PatchSegment, { has }: BlockSet): boolean =>
  [...to, ...also.map(({ to: first, count }) => ({ first, count }))].some(({ first, count }) => {
    for (let block = first; block < first + count; block += 1) if (!has(block)) return true;
    return false;
  });

/** The missing part of these copies. */
function* missingCopies(copies: readonly Copy[], present: BlockSet): Generator<Copy> {
  for (const { to, from, count } of copies)
    for (const { first, count: part } of extentsWhere(count, (block) => !present.has(to + block)))
      yield { to: to + first, from: from + first, count: part };
}

/** Segments read in one request: the gap between two of them is not worth another one. */
function* runsOf(segments: readonly PatchSegment[]): Generator<readonly PatchSegment[]> {
  let run: PatchSegment[] = [];
  for (const segment of segments) {
    const last = run.at(-1);
    if (last && segment.offset - last.offset - last.packedSize > GAP) {
      yield run;
      run = [];
    }
    run.push(segment);
  }
  if (run.length > 0) yield run;
}

/** Memory for one segment, shared with the threads: the fetched, the read and the resulting bytes. */
type Area = Readonly<{ packed: Uint8Array; dictionary: Uint8Array; plain: Uint8Array }>;
type Made = Readonly<{ segment: PatchSegment; plain: Uint8Array; digests: Promise<Uint8Array | undefined> }>;

async function applyRun(job: DeltaJob, assembly: Assembly, run: readonly PatchSegment[]): Promise<void> {
  const { file, old, pool, signal } = job;
  const last = run.at(-1);
  const start = run[0]?.offset ?? 0;
  await using cursor = createCursor(file.source, start, last ? last.offset + last.packedSize : start, signal);
  const damage = createDamage(job);
  const areas = areasFor(run);
  const making: Made[] = [];
  const read = async (segment: PatchSegment, turn: number) => {
    const area = areas[turn % areas.length] as Area;
    const dictionary = await readDictionary(old.reader, segment, area.dictionary).catch((error: unknown) =>
      damage.note(segment, error),
    );
    return { segment, area, dictionary };
  };
  for await (const { segment, area, dictionary } of ahead(run, READING, read)) {
    const packed = await packedOf(cursor, segment, area.packed);
    if (dictionary) {
      const request = { segment, packed, dictionary, into: area.plain, salt: old.salt };
      const digests = pool.segment(request).catch((error: unknown) => damage.note(segment, error));
      digests.catch(() => undefined);
      making.push({ segment, plain: area.plain.subarray(0, blocksIn(segment.to) * BLOCK), digests });
    }
    if (making.length === IN_FLIGHT) await place(job, assembly, damage, making.shift());
  }
  while (making.length > 0) await place(job, assembly, damage, making.shift());
  damage.tell();
}

/** An area is reused once its segment has been written. */
function areasFor(run: readonly PatchSegment[]): readonly Area[] {
  const count = READING + IN_FLIGHT;
  const buffers = (sizeOf: (segment: PatchSegment) => number): Uint8Array[] =>
    alignedBuffers(count, Math.ceil(Math.max(BLOCK, ...run.map(sizeOf)) / BLOCK) * BLOCK);
  const packed = buffers(({ packedSize }) => packedSize);
  const dictionary = buffers((segment) => blocksIn(segment.dictionary) * BLOCK);
  const plain = buffers((segment) => blocksIn(segment.to) * BLOCK);
  return packed.map((bytes, at) => ({
    packed: bytes,
    dictionary: dictionary[at] as Uint8Array,
    plain: plain[at] as Uint8Array,
  }));
}

async function packedOf(cursor: Cursor, segment: PatchSegment, into: Uint8Array): Promise<Uint8Array> {
  await cursor.take(segment.offset - cursor.offset);
  into.set(await cursor.take(segment.packedSize));
  return into.subarray(0, segment.packedSize);
}

async function readDictionary(
  reader: SlotReader,
  { dictionary }: PatchSegment,
  buffer: Uint8Array,
): Promise<Uint8Array> {
  let at = 0;
  const reads = dictionary.map(({ first, count }) => {
    const into = buffer.subarray(at, at + count * BLOCK);
    at += count * BLOCK;
    return reader.readInto(first, into);
  });
  // All of them finish, even if one fails: the memory is reused.
  for (const read of await Promise.allSettled(reads)) if (read.status === 'rejected') throw read.reason;
  return buffer.subarray(0, at);
}

async function place(job: DeltaJob, assembly: Assembly, damage: Damage, made: Made | undefined): Promise<void> {
  if (!made) return;
  const { segment, plain } = made;
  job.signal.throwIfAborted();
  const digests = await made.digests;
  if (!digests) return;
  if (!isChecked(segment, digests)) return void damage.note(segment, WRONG);
  let at = 0;
  for (const { first, count } of segment.to) {
    await writeMissing(assembly, first, plain.subarray(at * BLOCK, (at + count) * BLOCK));
    at += count;
  }
  for (const { to, from, count } of segment.also)
    await writeMissing(assembly, to, plain.subarray(from * BLOCK, (from + count) * BLOCK));
}

/** A segment with a damaged dictionary or damaged bytes is left to the next tier; with too many, the rest is not worth reading. */
type Damage = Readonly<{ note(segment: PatchSegment, error: unknown): undefined; tell(): void }>;

function createDamage({ log }: DeltaJob): Damage {
  let count = 0;
  let first: Readonly<{ block: number | undefined; reason: string }> | undefined;
  return {
    note: (segment, error) => {
      const reason = asUpdateError(error).message;
      count += 1;
      first ??= { block: segment.to[0]?.first, reason };
      if (count > MOST_DAMAGED) throw new UpdateError('delta-mismatch', `${count} segments are damaged: ${reason}`);
      return undefined;
    },
    tell: () => {
      if (first) log.warn({ segments: count, ...first }, 'segments of the patch are left to the next tier');
    },
  };
}

const WRONG = new UpdateError('delta-mismatch', 'A segment does not produce the expected blocks.');
// Unfinished segments are lost in a power cut.
const IN_FLIGHT = 2;
/** Number of segments whose dictionaries are read ahead. */
const READING = 1;
const MOST_DAMAGED = 32;
const GAP = 64 * 1024;
