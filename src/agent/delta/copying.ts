/** Copies blocks of the running system into the free slot; none is believed before its digest. */

import type { DecodePool } from '../../bundle/decode-pool.ts';
import type { Copy } from '../../bundle/delta/copy.ts';
import { SHORT, shorten } from '../../bundle/delta/short-leaves.ts';
import { BLOCK } from '../../bundle/verity.ts';
import { alignedBuffers } from '../../system/aligned-memory.ts';
import type { Log } from '../../system/log.ts';
import type { Assembly } from './assembly.ts';
import { ahead } from './read-ahead.ts';
import type { SlotReader } from './slot-reader.ts';

export type CopyJob = Readonly<{
  copies: Iterable<Copy>;
  reader: SlotReader;
  /** What a block that goes `to` and comes `from` must have: its short leaf begins at this index of `shorts`. */
  shorts: Uint8Array;
  by: 'to' | 'from';
  salt: string;
  assembly: Assembly;
  pool: Pick<DecodePool, 'digests'>;
  log: Pick<Log, 'warn'>;
  signal: AbortSignal;
}>;

/** Returns how many blocks were copied. Those that are wrong or cannot be read are told and stay missing. */
export async function copyBlocks(job: CopyJob): Promise<number> {
  const faults = { wrong: 0, unreadable: 0, first: -1 };
  const buffers = alignedBuffers(READING + 1, BATCH * BLOCK);
  let copied = 0;
  const read = (pieces: readonly Piece[], turn: number): Promise<Batch> =>
    readBatch(job, pieces, buffers[turn % buffers.length] as Uint8Array, faults);
  for await (const batch of ahead(batches(job.copies), READING, read)) {
    job.signal.throwIfAborted();
    copied += await writeRight(job, batch, faults);
  }
  if (faults.first >= 0) job.log.warn(faults, 'blocks of the running system are damaged; they are fetched instead');
  return copied;
}

type Faults = { wrong: number; unreadable: number; first: number };
/** Blocks of several copies, side by side in shared memory. */
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

async function readBatch(job: CopyJob, pieces: readonly Piece[], buffer: Uint8Array, faults: Faults): Promise<Batch> {
  const read = await Promise.all(pieces.map((piece) => readPiece(job, piece, buffer, faults)));
  const last = pieces.at(-1);
  return { bytes: buffer.subarray(0, last ? (last.at + last.count) * BLOCK : 0), pieces: read.flat() };
}

/** A piece that cannot be read is tried block by block. */
async function readPiece(job: CopyJob, piece: Piece, buffer: Uint8Array, faults: Faults): Promise<readonly Piece[]> {
  const { from, count, at } = piece;
  try {
    await job.reader.readInto(from, buffer.subarray(at * BLOCK, (at + count) * BLOCK));
    return [piece];
  } catch {
    job.signal.throwIfAborted();
    if (count > 1) return readSingly(job, piece, buffer, faults);
    faults.unreadable += 1;
    note(faults, from);
    return [];
  }
}

async function readSingly(job: CopyJob, piece: Piece, buffer: Uint8Array, faults: Faults): Promise<readonly Piece[]> {
  const single: Piece[] = [];
  for (let block = 0; block < piece.count; block += 1) {
    const one = { to: piece.to + block, from: piece.from + block, at: piece.at + block, count: 1 };
    single.push(...(await readPiece(job, one, buffer, faults)));
  }
  return single;
}

async function writeRight(job: CopyJob, { bytes, pieces }: Batch, faults: Faults): Promise<number> {
  const found = shorten(await job.pool.digests(job.salt, bytes));
  let copied = 0;
  for (const { to, from, count, at } of pieces) {
    let run = 0;
    for (let block = 0; block <= count; block += 1) {
      const isRight = block < count && isSame(found, at + block, job.shorts, (job.by === 'to' ? to : from) + block);
      if (isRight) continue;
      if (block > run) await job.assembly.write(to + run, bytes.subarray((at + run) * BLOCK, (at + block) * BLOCK));
      copied += block - run;
      run = block + 1;
      if (block === count) continue;
      faults.wrong += 1;
      note(faults, from + block);
    }
  }
  return copied;
}

const isSame = (one: Uint8Array, at: number, other: Uint8Array, otherAt: number): boolean => {
  for (let index = 0; index < SHORT; index += 1)
    if (one[at * SHORT + index] !== other[otherAt * SHORT + index]) return false;
  return true;
};

const note = (faults: Faults, block: number): void => {
  if (faults.first < 0 || block < faults.first) faults.first = block;
};

/** Batches that are being read while one is hashed and written. */
const READING = 3;
/** Blocks of a batch. */
const BATCH = 128;
