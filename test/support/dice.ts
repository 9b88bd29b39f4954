/** Chance that a seed repeats exactly. */

import { seeded } from '../../src/rollout/dice.ts';

export type Dice = Readonly<{
  /** From 0 up to, not including, `sides`. */
  roll(sides: number): number;
  chance(probability: number): boolean;
}>;

/** Good enough to pick what a power cut loses. */
export function dice(seed: number): Dice {
  const next = seeded(seed);
  return { roll: (sides) => Math.floor(next() * sides), chance: (probability) => next() < probability };
}
