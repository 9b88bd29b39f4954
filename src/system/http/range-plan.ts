/** Plans the requests for parts of a file, with few requests and few unneeded bytes. */

export type ByteRange = Readonly<{ start: number; end: number }>;

/** A request; `holds`: the indexes of the wanted ranges within it, in file order. */
export type FetchRange = ByteRange & Readonly<{ holds: readonly number[] }>;

export type RangePlan = Readonly<{
  /** Gaps up to this many bytes are fetched rather than skipped. */
  gap?: number;
  /** A new request starts where a run of wanted ranges enters a new grid cell of this size. */
  most?: number;
}>;

/**
 * Requests start and end with wanted ranges, and are cut by a fixed grid over the file, regardless of what else a host lacks: no byte is
 * wasted on alignment, and hosts that lack the same frames send the same requests, which caches can answer.
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

// What a 10 Mbit/s line transfers in a third of a 40 ms round trip: three connections ask at the same time.
const DEFAULT_GAP = 16 * 1024;

// Large enough to make pauses between requests negligible, small enough to share the work among connections.
const DEFAULT_MOST = 8 * 1024 * 1024;

const NOTHING: ByteRange = { start: 0, end: 0 };

const startOf = (range: ByteRange = NOTHING): number => range.start;
const lengthOf = ({ start, end }: ByteRange = NOTHING): number => end - start;
