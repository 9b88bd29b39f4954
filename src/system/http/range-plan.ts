/** Decides which stretches of a file are asked for so that all wanted ranges come with few requests and few needless bytes. */

export type ByteRange = Readonly<{ start: number; end: number }>;

/** One request; `holds` are the numbers of the wanted ranges within it, in file order. */
export type FetchRange = ByteRange & Readonly<{ holds: readonly number[] }>;

export type RangePlan = Readonly<{
  /** Unwanted bytes up to this many are fetched along rather than asked around. */
  gap?: number;
  /** Where a run of wanted ranges enters a new cell of this size, a new request begins. */
  most?: number;
}>;

/**
 * Requests begin and end where wanted ranges do and are cut by the cells of a grid over the file, not by what a host lacks before:
 * not a byte is spent on alignment, and hosts that lack the same frames send the same requests, which caches can answer.
 */
export function planRanges(wanted: readonly ByteRange[], plan: RangePlan = {}): readonly FetchRange[] {
  const { gap = DEFAULT_GAP, most = DEFAULT_MOST } = plan;
  const order = [...wanted.keys()].filter((index) => lengthOf(wanted[index]) > 0);
  order.sort((a, b) => startOf(wanted[a]) - startOf(wanted[b]) || a - b);
  const fetches: { start: number; end: number; holds: number[] }[] = [];
  for (const index of order) {
    const { start, end } = wanted[index] ?? NOTHING;
    const last = fetches.at(-1);
    const isNear = last !== undefined && start >= last.end && start - last.end <= gap;
    if (isNear && Math.floor(start / most) === Math.floor(startOf(wanted[last.holds.at(-1) ?? 0]) / most)) {
      last.end = end;
      last.holds.push(index);
    } else fetches.push({ start, end, holds: [index] });
  }
  return fetches;
}

// What a line of 10 Mbit/s brings in a third of a round trip of 40 ms: three connections ask at the same time.
const DEFAULT_GAP = 16 * 1024;

// Large enough that the pauses between requests do not count, small enough that several connections share the work.
const DEFAULT_MOST = 8 * 1024 * 1024;

const NOTHING: ByteRange = { start: 0, end: 0 };

const startOf = (range: ByteRange = NOTHING): number => range.start;
const lengthOf = ({ start, end }: ByteRange = NOTHING): number => end - start;
