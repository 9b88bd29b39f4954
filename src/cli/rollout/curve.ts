/** The curve of a fleet's update, for a terminal and as SVG. Pure. */

import type { Played, Sample } from '../../rollout/simulate.ts';
import { durationText } from '../duration.ts';

const ROWS = 12;

/** Rows of a chart as wide as the terminal: `█` updated, `▒` under way, `x` failed. */
export function curveText({ samples }: Pick<Played, 'samples'>, hosts: number, width: number): string[] {
  const columns = Math.max(20, Math.min(width, 120) - 8);
  const picked = pick(samples, columns);
  const rows = Array.from({ length: ROWS }, (_, row) => {
    const label = row % 3 === 0 ? `${Math.round(100 - (row * 100) / ROWS)} %`.padStart(6) : ' '.repeat(6);
    return `${label} ${picked.map((sample) => mark(sample, hosts, ROWS - row)).join('')}`.trimEnd();
  });
  const end = durationText(samples.at(-1)?.at ?? 0);
  return [
    ...rows,
    `   0 % 0${end.padStart(Math.max(1, picked.length - 1))}`,
    '       █ updated   ▒ under way   x failed',
    '',
  ];
}

/** The same as SVG; the colours follow the reader's light or dark setting. */
export function curveSvg({ samples, braked }: Pick<Played, 'samples' | 'braked'>, hosts: number): string {
  const end = Math.max(1, samples.at(-1)?.at ?? 1);
  const x = (at: number): string => (60 + (at / end) * 620).toFixed(1);
  const y = (count: number): string => (300 - (count / hosts) * 260).toFixed(1);
  const area = (from: (one: Sample) => number, to: (one: Sample) => number): string =>
    [
      ...samples.map((one) => `${x(one.at)},${y(to(one))}`),
      ...samples.toReversed().map((one) => `${x(one.at)},${y(from(one))}`),
    ].join(' ');
  // The label reads inward from its line: a stopped rollout ends there, at the very edge.
  const anchor = braked && braked.at > end / 2 ? 'end' : 'start';
  const brake = braked
    ? `<path class="brake" d="M${x(braked.at)} 40V300"/><text x="${x(braked.at)}" y="34" text-anchor="${anchor}">brake</text>`
    : '';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 340" role="img" aria-label="Share of ${hosts} hosts over ${durationText(end)}">
<style>
  svg { font: 12px sans-serif; background: #fff; } text { fill: #222; } .axis { stroke: #888; fill: none; }
  .updated { fill: #2a7f62; } .under-way { fill: #e0a030; } .failed { fill: #b03030; } .brake { stroke: #b03030; stroke-dasharray: 4; }
  @media (prefers-color-scheme: dark) { svg { background: #181818; } text { fill: #ddd; } }
</style>
<polygon class="updated" points="${area(
    () => 0,
    ({ updated }) => updated,
  )}"/>
<polygon class="failed" points="${area(
    ({ updated }) => updated,
    ({ updated, failed }) => updated + failed,
  )}"/>
<polygon class="under-way" points="${area(
    ({ updated, failed }) => updated + failed,
    ({ updated, failed, inFlight }) => updated + failed + inFlight,
  )}"/>
<path class="axis" d="M60 40V300H680"/>
<text x="54" y="44" text-anchor="end">${hosts}</text><text x="54" y="304" text-anchor="end">0</text><text x="60" y="318">start</text><text x="680" y="318" text-anchor="end">${durationText(end)}</text>
<text x="60" y="334">green: updated, amber: under way, red: failed</text>
${brake}
</svg>
`;
}

/** One sample per column, always including the last. */
function pick(samples: readonly Sample[], columns: number): readonly Sample[] {
  if (samples.length <= columns) return samples;
  const at = (column: number): number => Math.round((column * (samples.length - 1)) / (columns - 1));
  return Array.from({ length: columns }, (_, column) => samples[at(column)]).filter((one) => one !== undefined);
}

/** The mark of the cell whose upper edge is `level` twelfths of the fleet. */
function mark({ updated, failed, inFlight }: Sample, hosts: number, level: number): string {
  const line = ((level - 0.5) / ROWS) * hosts;
  if (line <= updated) return '█';
  if (line <= updated + failed) return 'x';
  return line <= updated + failed + inFlight ? '▒' : ' ';
}
