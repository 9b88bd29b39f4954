/** Fetches many ranges of a file over several connections and mirrors; each range is complete and verified before it is passed on. */

import { UpdateError } from '../../errors.ts';
import { merged } from './merged.ts';
import { createMirrors, type Mirrors, type RangeSource } from './mirrors.ts';
import { type ByteRange, type FetchRange, planRanges, type RangePlan } from './range-plan.ts';
import { DEFAULT_MAX_DELAY_MS, type Delivery, type Resumption, resumed } from './resumed.ts';

/** A requested range, by its index; the receiver owns the bytes. */
export type RangePiece = Readonly<{ range: number; bytes: Uint8Array }>;

export type RangeOptions = Readonly<{
  resumption: Resumption;
  signal: AbortSignal;
  /** The number of parallel requests. */
  connections?: number;
  plan?: RangePlan;
  /** Throws on wrong bytes: the range is then requested from the other mirrors, and the error is thrown if none has it. */
  check?(range: number, bytes: Uint8Array): void | Promise<void>;
}>;

/** Every range once, complete, in any order. Even for a slow receiver, each connection buffers only one range. */
export async function* fetchRanges(
  sources: readonly RangeSource[],
  ranges: readonly ByteRange[],
  options: RangeOptions,
): AsyncGenerator<RangePiece> {
  for (const [range, { start, end }] of ranges.entries()) if (start === end) yield { range, bytes: new Uint8Array() };
  const { clock, maxDelayMs = DEFAULT_MAX_DELAY_MS } = options.resumption;
  const stop = new AbortController();
  const fetches = planRanges(ranges, options.plan);
  const job: Job = {
    ...options,
    ranges,
    mirrors: createMirrors(sources, clock, maxDelayMs),
    signal: AbortSignal.any([options.signal, stop.signal]),
    waiting: fetches.values(),
  };
  const connections = Math.min(options.connections ?? DEFAULT_CONNECTIONS, fetches.length);
  yield* merged(
    Array.from({ length: connections }, () => connection(job)),
    stop,
  );
}

const DEFAULT_CONNECTIONS = 3;

type Job = RangeOptions &
  Readonly<{ ranges: readonly ByteRange[]; mirrors: Mirrors; waiting: Iterator<FetchRange> & Iterable<FetchRange> }>;
type Piece = RangePiece & Readonly<{ from: ReadonlySet<number> }>;
type Bad = Readonly<{ piece: Piece; error: unknown }>;

/** Takes one request after the other from those left. */
async function* connection(job: Job): AsyncGenerator<RangePiece> {
  for (let next = job.waiting.next(); next.done !== true; next = job.waiting.next()) {
    let left: readonly number[] = next.value.holds;
    while (left.length > 0) {
      let bad: Bad | undefined;
      for await (const piece of pieces(job, left)) {
        left = left.slice(1);
        bad = await faultOf(job, piece);
        // A mirror that sent wrong bytes is not read further.
        if (bad !== undefined) break;
        yield { range: piece.range, bytes: piece.bytes };
      }
      if (bad !== undefined) yield await elsewhere(job, bad);
    }
  }
}

/** Consecutive wanted ranges, in one request unless it breaks. */
async function* pieces(job: Job, holds: readonly number[], not?: ReadonlySet<number>): AsyncGenerator<Piece> {
  const [first, last] = [rangeOf(job, holds[0]), rangeOf(job, holds.at(-1))];
  const reach = { start: first.start, end: last.end };
  let at = reach.start;
  let open = createPiece(job, holds[0]);
  let taken = 1;
  for await (const { bytes, mirror } of resumed(job.mirrors, reach, job.resumption, job.signal, not)) {
    for (let rest = bytes; rest.length > 0; ) {
      const used = open.take(at, { bytes: rest, mirror });
      at += used;
      rest = rest.subarray(used);
      if (at < open.end) continue;
      yield open.piece;
      if (taken === holds.length) return;
      open = createPiece(job, holds[taken++]);
    }
  }
}

const rangeOf = (job: Job, index = 0): ByteRange => job.ranges[index] ?? { start: 0, end: 0 };

/** A range being filled; bytes before it, in a gap, are dropped. */
function createPiece(job: Job, index = 0) {
  const { start, end } = rangeOf(job, index);
  const from = new Set<number>();
  const piece: Piece = { range: index, bytes: new Uint8Array(end - start), from };
  return {
    end,
    piece,
    take: (at: number, { bytes, mirror }: Delivery): number => {
      if (at < start) return Math.min(bytes.length, start - at);
      const part = bytes.subarray(0, end - at);
      piece.bytes.set(part, at - start);
      from.add(mirror);
      return part.length;
    },
  };
}

async function faultOf(job: Job, piece: Piece): Promise<Bad | undefined> {
  try {
    await job.check?.(piece.range, piece.bytes);
    return undefined;
  } catch (error) {
    return { piece, error };
  }
}

/** Asks every mirror that has not sent wrong bytes for this range. */
async function elsewhere(job: Job, first: Bad): Promise<RangePiece> {
  const liars = new Set<number>();
  let bad = first;
  // Bytes mixed from two mirrors convict neither, so the attempts need their own bound.
  for (let tries = 0; tries < 2 * job.mirrors.sources.length; tries++) {
    for (const mirror of bad.piece.from) job.mirrors.failed(mirror);
    if (bad.piece.from.size === 1) for (const mirror of bad.piece.from) liars.add(mirror);
    if (job.mirrors.next(liars) === undefined) break;
    const piece = await single(pieces(job, [bad.piece.range], liars));
    const again = await faultOf(job, piece);
    if (again === undefined) return { range: piece.range, bytes: piece.bytes };
    bad = again;
  }
  throw bad.error;
}

async function single(stream: AsyncGenerator<Piece>): Promise<Piece> {
  for await (const piece of stream) return piece;
  throw new UpdateError('connection-lost');
}
