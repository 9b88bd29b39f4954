/** Medians and ranges. */

export type Figures = Readonly<{ least: number; middle: number; most: number }>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2;
}

export const range = (values: readonly number[]): Figures => ({
  least: Math.min(...values),
  middle: median(values),
  most: Math.max(...values),
});
