/** Machines by version over a fortnight: dense for a day, then hourly. Pure. */

import type { Counted } from './census-tally.ts';

/** Machines by version, for each channel; rare versions are summed up as `other`. */
export type Point = Readonly<{ at: string; channels: Readonly<Record<string, Readonly<Record<string, number>>>> }>;
export type History = Readonly<{ schema: 1; points: readonly Point[] }>;

/** The history with the count added; undefined if its last point is recent enough. */
export function addPoint(before: History | undefined, counted: Counted): History | undefined {
  const points = before?.points ?? [];
  const now = Date.parse(counted.at);
  const last = points.at(-1);
  if (last && now - Date.parse(last.at) < DENSE_MS) return undefined;
  const channels = Object.fromEntries(
    Object.entries(counted.channels)
      .toSorted(([, one], [, other]) => other.machines - one.machines)
      .slice(0, MOST_CHANNELS)
      .map(([name, { versions }]) => [name, mostly(versions)]),
  );
  return { schema: 1, points: fitting(thinned([...points, { at: counted.at, channels }], now)) };
}

export const OTHER = 'other';

const DENSE_MS = 10 * 60_000;
const HOUR = 3_600_000;
const MOST_VERSIONS = 8;
const MOST_CHANNELS = 8;
/** etcd accepts 1.5 MiB per transaction, which also contains other documents. */
const MOST_TEXT = 400_000;

function mostly(versions: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const ordered = Object.entries(versions).toSorted(([, one], [, other]) => other - one);
  const rest = ordered.slice(MOST_VERSIONS).reduce((sum, [, number]) => sum + number, 0);
  return { ...Object.fromEntries(ordered.slice(0, MOST_VERSIONS)), ...(rest > 0 ? { [OTHER]: rest } : {}) };
}

function thinned(points: readonly Point[], now: number): readonly Point[] {
  return points.filter(({ at }, index) => {
    const time = Date.parse(at);
    if (now - time > 14 * 24 * HOUR) return false;
    const before = points[index - 1];
    return now - time < 24 * HOUR || !before || Math.floor(Date.parse(before.at) / HOUR) !== Math.floor(time / HOUR);
  });
}

/** With long names, the history is shorter. */
function fitting(points: readonly Point[]): readonly Point[] {
  let room = MOST_TEXT;
  const first = points.findLastIndex((point) => {
    room -= JSON.stringify(point).length + 1;
    return room < 0;
  });
  return points.slice(first + 1);
}
