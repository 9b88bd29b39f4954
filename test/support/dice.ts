/** Chance that a seed repeats exactly. */

export type Dice = Readonly<{
  /** From 0 up to, not including, `sides`. */
  roll(sides: number): number;
  chance(probability: number): boolean;
}>;

/** A small generator (mulberry32); good enough to pick what a power cut loses. */
export function dice(seed: number): Dice {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { roll: (sides) => Math.floor(next() * sides), chance: (probability) => next() < probability };
}
