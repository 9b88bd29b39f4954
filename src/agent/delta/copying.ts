/** Copies blocks of the running system into the free slot; none is believed before its digest. */

import type { DecodePool } from '../../bundle/decode-pool.ts';
import type { Copy } from '../../bundle/delta/copy.ts';
import { SHORT, shorten } from '../../bundle/delta/short-leaves.ts';
import { BLOCK } from '../../bundle/verity.ts';
import type { BlockReader } from '../../bundle/volume.ts';
import { alignedBuffers } from '../../system/aligned-memory.ts';
import type { Log } from '../../system/log.ts';
import type { Assembly } from './assembly.ts';

export type CopyJob = Readonly<{
  copies: Iterable<Copy>;
  reader: BlockReader;
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
  let copied = 0;
  for await (const batch of ahead(batches(job, faults))) {
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

async function* batches(job: CopyJob, faults: Faults): AsyncGenerator<Batch> {
  // One is being filled, one waits, one is being hashed and written.
  const buffers = alignedBuffers(3, BATCH * BLOCK);
  let turn = 0;
  let buffer = buffers[0] as Uint8Array;
  let pieces: Piece[] = [];
  let used = 0;
  for (const { to, from, count } of job.copies) {
    for (let done = 0; done < count; ) {
      const part = Math.min(count - done, BATCH - used);
      const piece = { to: to + done, from: from + done, count: part, at: used };
      pieces.push(...(await readPiece(job, piece, buffer, faults)));
      used += part;
      done += part;
      if (used < BATCH) continue;
      yield { bytes: buffer, pieces };
      turn = (turn + 1) % buffers.length;
      buffer = buffers[turn] as Uint8Array;
      pieces = [];
      used = 0;
    }
  }
  if (used > 0) yield { bytes: buffer.subarray(0, used * BLOCK), pieces };
}

/** A piece that cannot be read is tried block by block. */
async function readPiece(job: CopyJob, piece: Piece, buffer: Uint8Array, faults: Faults): Promise<readonly Piece[]> {
  try {
    buffer.set(await job.reader.read(piece.from, piece.count), piece.at * BLOCK);
    return [piece];
  } catch {
    job.signal.throwIfAborted();
    if (piece.count === 1) {
      faults.unreadable += 1;
      note(faults, piece.from);
      return [];
    }
  }
  const single: Piece[] = [];
  for (let block = 0; block < piece.count; block += 1) {
    const { to, from, at } = piece;
    single.push(
      ...(await readPiece(job, { to: to + block, from: from + block, at: at + block, count: 1 }, buffer, faults)),
    );
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
  if (faults.first < 0) faults.first = block;
};

/** The next is prepared while this one is used. */
async function* ahead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = source.next();
  try {
    for (;;) {
      const { value, done } = await next;
      if (done) return;
      next = source.next();
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await next.catch(() => undefined);
    await source.return(undefined);
  }
}

/** Blocks of a batch. */
const BATCH = 128;
