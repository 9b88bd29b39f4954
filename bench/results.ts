/** What has been measured: kept as JSON beside the document made from it, and shown as tables. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Figures, range } from './figures.ts';
import type { Cost } from './measured.ts';

export type Round = Cost & Readonly<{ bytes: number; requests: number }>;

/** One method on one pair of releases. `yardstick` is what the unchecked pipeline took in the very same run. */
export type Row = Readonly<{
  id: string;
  name: string;
  format: string;
  serves: string;
  checks: string;
  pair: string;
  date: string;
  load: number;
  yardstick: number;
  publish: Cost & Readonly<{ bytes: number }>;
  rounds: readonly Round[];
}>;

const KEPT = join(import.meta.dirname, '../docs/benchmarks.json');

export const recorded = (): readonly Row[] =>
  existsSync(KEPT) ? (JSON.parse(readFileSync(KEPT, 'utf8')) as Row[]) : [];

/** New rows take the place of old ones of the same method and pair. */
export function record(rows: readonly Row[]): void {
  const fresh = new Set(rows.map(keyOf));
  const all = [...recorded().filter((row) => !fresh.has(keyOf(row))), ...rows];
  all.sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
  writeFileSync(KEPT, `${JSON.stringify(all, undefined, 1)}\n`);
}

const keyOf = ({ pair, id }: Row): string => `${pair} ${id}`;

export type Column = Readonly<{ title: string; cell: (row: Row) => string }>;

const figures = (row: Row, of: (round: Round) => number): Figures => range(row.rounds.map(of));

/** Least and most only where they differ from the median by more than rounding. */
const seconds = ({ least, middle, most }: Figures): string =>
  most - least < 0.1 * middle ? middle.toFixed(2) : `${middle.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`;

const mb = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 10e6 ? 2 : 1);

export const middleBytes = (row: Row): number => figures(row, ({ bytes }) => bytes).middle;

export const TRANSFER: readonly Column[] = [
  { title: 'method', cell: ({ name }) => name },
  { title: 'image', cell: ({ format }) => format },
  { title: 'one artifact serves', cell: ({ serves }) => SERVES[serves] ?? serves },
  { title: 'MB over the wire', cell: (row) => mb(middleBytes(row)) },
  { title: 'requests', cell: (row) => figures(row, ({ requests }) => requests).middle.toFixed(0) },
  { title: 'time, s', cell: (row) => seconds(figures(row, (round) => round.seconds)) },
  { title: '× pipeline', cell: (row) => (figures(row, (round) => round.seconds).middle / row.yardstick).toFixed(2) },
  { title: 'CPU, s', cell: (row) => figures(row, ({ cpuSeconds }) => cpuSeconds).middle.toFixed(2) },
  { title: 'peak RSS, MB', cell: (row) => (figures(row, ({ peakRssBytes }) => peakRssBytes).middle / 1e6).toFixed(0) },
  { title: 'checks', cell: ({ checks }) => checks },
];

export const PUBLISHING: readonly Column[] = [
  { title: 'method', cell: ({ name }) => name },
  { title: 'image', cell: ({ format }) => format },
  { title: 'pair', cell: ({ pair }) => pair.replace('-', ' → ') },
  { title: 'MB on the server', cell: ({ publish }) => mb(publish.bytes) },
  { title: 'time, s', cell: ({ publish }) => publish.seconds.toFixed(1) },
  { title: 'CPU, s', cell: ({ publish }) => publish.cpuSeconds.toFixed(1) },
  { title: 'peak RSS, MB', cell: ({ publish }) => (publish.peakRssBytes / 1e6).toFixed(0) },
];

const SERVES: Readonly<Record<string, string>> = {
  any: 'any old version',
  pair: 'one old version',
  everyone: 'everyone',
};

/** The table in Markdown, fewest bytes first. */
export function markdown(rows: readonly Row[], columns: readonly Column[]): string {
  const sorted = [...rows].sort((one, other) => middleBytes(one) - middleBytes(other));
  const lines = [columns.map(({ title }) => title), columns.map(() => '---')];
  return [...lines, ...sorted.map((row) => columns.map(({ cell }) => cell(row)))]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** The same for a terminal: columns in line. */
export function aligned(rows: readonly Row[], columns: readonly Column[]): string {
  const lines = markdown(rows, columns)
    .split('\n')
    .filter((_, line) => line !== 1)
    .map((line) => line.slice(2, -2).split(/ \| /));
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines.map((cells) => cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n');
}
