/** A progress bar with rate and remaining time on a terminal; an occasional plain line elsewhere. */

import { shownText } from '../clean-text.ts';
import type { Clock } from '../system/clock.ts';
import { bytes, duration } from './units.ts';

export type Streams = Readonly<{
  out(text: string): void;
  err(text: string): void;
  isTerminal: boolean;
  hasColour?: boolean;
  width(): number;
}>;

export interface Bar extends Disposable {
  /** Bytes done of the total. */
  update(done: number, total: number, title?: string): void;
  /** Writes something in place of the bar; the bar reappears below it. */
  above(write: () => void): void;
}

const TERMINAL_EVERY_MS = 100;
const LINES_EVERY_MS = 5_000;
const SETTLED_MS = 1_000;

/** A bar that stays hidden until its first update and leaves its last line behind. */
export function createBar(
  firstTitle: string,
  streams: Pick<Streams, 'err' | 'isTerminal' | 'width'>,
  clock: Pick<Clock, 'monotonicMs'>,
  quiet: boolean,
): Bar {
  let title = firstTitle;
  let begun: { at: number; done: number } | undefined;
  let shownAt = Number.NEGATIVE_INFINITY;
  let last = '';

  const show = (text: string, at: number): void => {
    shownAt = at;
    last = text;
    streams.err(streams.isTerminal ? `\r\u001b[2K${text}` : `${text}\n`);
  };

  return {
    update: (done, total, newTitle = title) => {
      if (quiet) return;
      const now = clock.monotonicMs();
      if (newTitle !== title || !begun || done < begun.done) begun = { at: now, done };
      title = newTitle;
      const text = formatProgress(
        { title: shownText(title), done, total, sinceMs: now - begun.at, from: begun.done },
        streams.width(),
      );
      const isDue = now - shownAt >= (streams.isTerminal ? TERMINAL_EVERY_MS : LINES_EVERY_MS);
      if (isDue || (done >= total && text !== last)) show(text, now);
    },
    above: (write) => {
      const isShown = streams.isTerminal && last !== '';
      if (isShown) streams.err('\r\u001b[2K');
      write();
      if (isShown) streams.err(last);
    },
    [Symbol.dispose]: () => {
      if (streams.isTerminal && last !== '') streams.err('\n');
      last = '';
    },
  };
}

export type ProgressFacts = Readonly<{ title: string; done: number; total: number; sinceMs: number; from: number }>;

/** One line that fits `width` columns. Pure. */
export function formatProgress({ title, done, total, sinceMs, from }: ProgressFacts, width: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 1;
  const rate = sinceMs > SETTLED_MS ? ((done - from) * 1000) / sinceMs : 0;
  const left = rate > 0 && done < total ? `  ${duration(((total - done) / rate) * 1000)} left` : '';
  const figures = `${String(Math.floor(share * 100)).padStart(3)} %  ${bytes(done)} of ${bytes(total)}${rate > 0 ? `  ${bytes(rate)}/s` : ''}${left}`;
  const room = width - title.length - figures.length - 6;
  if (room < 8) return `${title}  ${figures}`.slice(0, Math.max(20, width - 1));
  const filled = Math.round(share * Math.min(room, 40));
  const bar = '█'.repeat(filled) + '░'.repeat(Math.min(room, 40) - filled);
  return `${title}  ${bar}  ${figures}`;
}
