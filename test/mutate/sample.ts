/** Which changes are tried, and in which order: the same for the same seed, and from every folder as many. */

import { dirname } from 'node:path';
import { dice } from '../support/dice.ts';
import type { Mutant } from './mutants.ts';

export type Candidate = Readonly<{ path: string; mutant: Mutant }>;

/** One of each folder after the other, at most `each` of a folder. */
export function sampleOf<T extends Readonly<{ path: string }>>(
  all: readonly T[],
  seed: number,
  each = Number.POSITIVE_INFINITY,
): readonly T[] {
  const folders = [...Map.groupBy(all, ({ path }) => dirname(path))]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([, some]) => shuffled(some, seed).slice(0, each));
  const longest = Math.max(0, ...folders.map((some) => some.length));
  return Array.from({ length: longest }, (_, turn) => folders.flatMap((some) => some.slice(turn, turn + 1))).flat();
}

function shuffled<T>(all: readonly T[], seed: number): readonly T[] {
  const { roll } = dice(seed);
  const mixed = [...all];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = roll(last + 1);
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
  }
  return mixed;
}
