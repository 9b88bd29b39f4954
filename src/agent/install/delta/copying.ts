/** Copies blocks of the running system into the free slot. The read-back shows whether they are correct. */

import { type BlockSet, blockSet, type Copy } from '../../../bundle/delta/copy.ts';
import { BLOCK } from '../../../bundle/verity.ts';
import { alignedBuffers } from '../../../system/disk/aligned-memory.ts';
import type { Log } from '../../../system/log.ts';
import type { Assembly } from './assembly.ts';
import { ahead } from './read-ahead.ts';
import type { SlotReader } from './slot-reader.ts';

export type CopyJob = Readonly<{
  copies: Iterable<Copy>;
  reader: SlotReader;
  assembly: Assembly;
  log: Pick<Log, 'warn'>;
  signal: AbortSignal;
}>;

/** Returns how many blocks were copied. Unreadable blocks are logged and stay missing. */
export async function copyBlocks(job: CopyJob): Promise<number> {
  const { assembly, signal, log } = job;
  const faults = { unreadable: 0, first: -1 };
  const wanted = blockSet(assembly.present.size);
  const buffers = alignedBuffers(READING + 1, BATCH * BLOCK);
  const read = (pieces: readonly Piece[], turn: number): Promise<Batch> =>
    readBatch({ ...job, wanted, faults }, pieces, buffers[turn % buffers.length] as Uint8Array);
  for await (const { bytes, pieces } of ahead(batches(bridged(job.copies, wanted)), READING, read)) {
    signal.throwIfAborted();
    for (const { to, count, at } of pieces)
      await assembly.copy(to, bytes.subarray(at * BLOCK, (at + count) * BLOCK), (block) => !wanted.has(block));
  }
  if (faults.unreadable > 0) log.warn(faults, 'blocks of the running system cannot be read; they are fetched instead');
  return wanted.count - faults.unreadable;
}

/** Merges copies that are close together in both volumes: the gap costs less than another read and write. */
function* bridged(copies: Iterable<Copy>, wanted: BlockSet): Generator<Copy> {
  let open: { to: number; from: number; count: number } | undefined;
  for (const { to, from, count } of copies) {
    const gap = open ? to - open.to - open.count : -1;
    if (open && gap >= 0 && gap <= BRIDGE && to - from === open.to - open.from) open.count += gap + count;
    else {
      if (open) yield open;
      open = { to, from, count };
    }
    wanted.addRange(to, count);
  }
  if (open) yield open;
}

/** Blocks of several copies, next to each other in shared memory. */
type Batch = Readonly<{ bytes: Uint8Array; pieces: readonly Piece[] }>;
type Piece = Readonly<{ to: number; from: number; count: number; at: number }>;

/** Pieces of copies that fill a batch. */
function* batches(copies: Iterable<Copy>): Generator<readonly Piece[]> {
  let pieces: Piece[] = [];
  let used = 0;
  for (const { to, from, count } of copies) {
    for (let done = 0; done < count; ) {
      const part = Math.min(count - done, BATCH - used);
      pieces.push({ to: to + done, from: from + done, count: part, at: used });
      used += part;
      done += part;
      if (used < BATCH) continue;
      yield pieces;
      pieces = [];
      used = 0;
    }
  }
  if (used > 0) yield pieces;
}

type Reading = CopyJob & Readonly<{ wanted: BlockSet; faults: { unreadable: number; first: number } }>;

async function readBatch(job: Reading, pieces: readonly Piece[], buffer: Uint8Array): Promise<Batch> {
  const read = await Promise.all(pieces.map((piece) => readPiece(job, piece, buffer)));
  const last = pieces.at(-1);
  return { bytes: buffer.subarray(0, last ? (last.at + last.count) * BLOCK : 0), pieces: read.flat() };
}

/** An unreadable piece is retried block by block. */
async function readPiece(job: Reading, piece: Piece, buffer: Uint8Array): Promise<readonly Piece[]> {
  const { from, count, at } = piece;
  try {
    await job.reader.readInto(from, buffer.subarray(at * BLOCK, (at + count) * BLOCK));
    return [piece];
  } catch {
    job.signal.throwIfAborted();
    if (count > 1) return readSingly(job, piece, buffer);
    note(job.faults, from);
    return [];
  }
}

async function readSingly(job: Reading, piece: Piece, buffer: Uint8Array): Promise<readonly Piece[]> {
  const single: Piece[] = [];
  for (let block = 0; block < piece.count; block += 1) {
    const one = { to: piece.to + block, from: piece.from + block, at: piece.at + block, count: 1 };
    if (job.wanted.has(one.to)) single.push(...(await readPiece(job, one, buffer)));
  }
  return single;
}

function note(faults: Reading['faults'], block: number): void {
  faults.unreadable += 1;
  if (faults.first < 0 || block < faults.first) faults.first = block;
}

/** Batches read ahead while one is written. */
const READING = 2;
/** Blocks per batch. */
const BATCH = 128;
/** The largest gap between two copies, in blocks, that is read and written along. */
const BRIDGE = 16;
