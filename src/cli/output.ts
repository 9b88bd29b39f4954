/** The output of a command: lines and tables for people, one JSON document for programs, progress on a terminal. */

import { shownJson, shownText } from '../clean-text.ts';
import type { Clock } from '../system/clock.ts';
import { type Bar, createBar, type Streams } from './progress.ts';

export interface Output {
  readonly json: boolean;
  /** Columns of the terminal; 80 where there is none. */
  readonly width: number;
  readonly isTerminal: boolean;
  /** A line for people; silent under --json. */
  line(text?: string): void;
  /** A line that starts with a mark, coloured where the terminal has colours. */
  marked(tone: Tone, mark: string, rest: string): void;
  /** Rows of cells, aligned; the first row is the heading. */
  table(rows: readonly (readonly string[])[]): void;
  /** The command's only document; silent without --json. Under --watch, one line each. */
  document(value: unknown): void;
  /** A warning, on standard error, with and without --json. */
  warn(text: string): void;
  /** A bar on a terminal, plain lines elsewhere, nothing under --json. */
  progress(title: string): Bar;
  /** Clears the screen; on a terminal only. */
  clear(): void;
}

export type Tone = 'good' | 'fair' | 'bad';

/** Output on a pair of streams. The only way to the terminal: control characters are removed here. */
export function createOutput(streams: Streams, clock: Clock, json: boolean, isStream = false): Output {
  let bar: Bar | undefined;
  /** A visible bar makes room, and reappears below. */
  const write = (text: string): void => {
    if (bar) bar.above(() => streams.out(text));
    else streams.out(text);
  };
  const line = (text = ''): void => {
    if (!json) write(`${shownText(text)}\n`);
  };
  const tinted = (tone: Tone, text: string): string => (streams.hasColour ? `${COLOURS[tone]}${text}\u001b[0m` : text);
  return {
    json,
    isTerminal: streams.isTerminal,
    get width() {
      return streams.width();
    },
    line,
    marked: (tone, mark, rest) => {
      if (!json) write(`${tinted(tone, shownText(mark))}${shownText(rest)}\n`);
    },
    table: (rows) => {
      for (const row of alignRows(rows.map((cells) => cells.map(inOneLine)))) line(row);
    },
    document: (value) => {
      if (json) streams.out(`${shownJson(JSON.stringify(value, undefined, isStream ? undefined : 2))}\n`);
    },
    warn: (text) => {
      const show = (): void => streams.err(`${shownText(text)}\n`);
      if (bar) bar.above(show);
      else show();
    },
    progress: (title) => {
      bar = createBar(title, streams, clock, json);
      return bar;
    },
    clear: () => {
      if (streams.isTerminal && !json) streams.out('\u001b[H\u001b[2J');
    },
  };
}

const COLOURS: Readonly<Record<Tone, string>> = { good: '\u001b[32m', fair: '\u001b[33m', bad: '\u001b[31m' };

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
