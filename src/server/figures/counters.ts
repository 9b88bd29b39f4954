/** Counters with a bounded number of label sets. */

import type { Distribution, Labels, Sample } from '../../formats/metrics-text.ts';

export type Counter = Readonly<{ add(labels: Labels): void; samples(): readonly Sample[] }>;
export type Timer = Readonly<{ took(labels: Labels, seconds: number): void; samples(): readonly Distribution[] }>;

/** Distinguishes at most `most` label sets; later ones are counted as `others`. `known` ones start at 0, so that the first occurrence shows as an increase. */
export function createCounter(most: number, known: readonly Labels[] = []): Counter {
  const kinds = createKinds(most, () => ({ value: 0 }));
  for (const labels of known) kinds.of(labels);
  return {
    add: (labels) => {
      kinds.of(labels).value += 1;
    },
    samples: () => kinds.all().map(({ labels, kept }) => ({ labels, value: kept.value })),
  };
}

/** Durations, in buckets from a fraction of a millisecond to seconds. */
export function createTimer(most: number): Timer {
  const kinds = createKinds(most, () => ({ counts: [...BOUNDS.map(() => 0), 0], sum: 0 }));
  return {
    took: (labels, seconds) => {
      const kept = kinds.of(labels);
      const at = BOUNDS.findIndex((bound) => seconds <= bound);
      const bucket = at === -1 ? BOUNDS.length : at;
      kept.counts[bucket] = (kept.counts[bucket] ?? 0) + 1;
      kept.sum += seconds;
    },
    samples: () =>
      kinds.all().map(({ labels, kept }) => ({ labels, bounds: BOUNDS, counts: kept.counts, sum: kept.sum })),
  };
}

const BOUNDS = [0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10];
const MANY = 'others';

type Kind<T> = Readonly<{ labels: Labels; kept: T }>;

function createKinds<T>(most: number, fresh: () => T) {
  const kinds = new Map<string, Kind<T>>();
  const made = (key: string, labels: Labels): Kind<T> => {
    const kind = { labels, kept: fresh() };
    kinds.set(key, kind);
    return kind;
  };
  const keyOf = (labels: Labels): string => Object.values(labels).join('\n');
  const rest = (labels: Labels): Kind<T> => {
    const others = Object.fromEntries(Object.keys(labels).map((name) => [name, MANY]));
    return kinds.get(keyOf(others)) ?? made(keyOf(others), others);
  };
  return {
    of: (labels: Labels): T => {
      const key = keyOf(labels);
      return (kinds.get(key) ?? (kinds.size < most ? made(key, labels) : rest(labels))).kept;
    },
    all: (): readonly Kind<T>[] => [...kinds.values()],
  };
}
