/** How a command speaks: lines and tables to people, one JSON document to programs, progress where somebody watches. */

import { shownJson, shownText } from '../clean-text.ts';
import type { Clock } from '../system/clock.ts';
import { type Bar, createBar } from './progress.ts';

export interface Output {
  readonly json: boolean;
  /** Columns of the terminal; 80 where there is none. */
  readonly width: number;
  readonly isTerminal: boolean;
  /** A line for people; silent under --json. */
  line(text?: string): void;
  /** Rows of cells, aligned; the first row is the heading. */
  table(rows: readonly (readonly string[])[]): void;
  /** The command's one document; silent without --json. Under --watch, one line each. */
  document(value: unknown): void;
  /** To standard error, whoever reads: warnings. */
  warn(text: string): void;
  /** A bar on a terminal, plain lines elsewhere, nothing under --json. */
  progress(title: string): Bar;
  /** Clears what is shown and starts at the top, on a terminal only. */
  clear(): void;
}

export type Streams = Readonly<{
  out(text: string): void;
  err(text: string): void;
  isTerminal: boolean;
  width(): number;
}>;

/** Output on a pair of streams: the one door to the terminal, which nothing passes that would steer it. */
export function createOutput(streams: Streams, clock: Clock, json: boolean, isStream = false): Output {
  const line = (text = ''): void => {
    if (!json) streams.out(`${shownText(text)}\n`);
  };
  return {
    json,
    isTerminal: streams.isTerminal,
    get width() {
      return streams.width();
    },
    line,
    table: (rows) => {
      for (const row of alignRows(rows.map((cells) => cells.map(inOneLine)))) line(row);
    },
    document: (value) => {
      if (json) streams.out(`${shownJson(JSON.stringify(value, undefined, isStream ? undefined : 2))}\n`);
    },
    warn: (text) => streams.err(`${shownText(text)}\n`),
    progress: (title) => createBar(title, streams, clock, json),
    clear: () => {
      if (streams.isTerminal && !json) streams.out('\u001b[H\u001b[2J');
    },
  };
}

const inOneLine = (cell: string): string => shownText(cell).replaceAll('\n', ' ');

/** Cells padded to the width of their column, two spaces apart. */
export function alignRows(rows: readonly (readonly string[])[]): readonly string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
