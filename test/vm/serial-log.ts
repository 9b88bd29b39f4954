/** The lines a guest has written on its serial port, over all its boots, and waiting for the next that matters. */

import { stripVTControlCharacters } from 'node:util';

export type SerialLine = Readonly<{ at: number; text: string }>;

export type SerialLog = Readonly<{
  lines: readonly SerialLine[];
  feed(bytes: Uint8Array): void;
  /** Ends the line that a power cut left unfinished. */
  cut(note: string): void;
  /** Nothing more will come: whoever waits, waits in vain. */
  end(why: string): void;
  /** Resolves with the first line from index `from` on for which `match` returns something. */
  next<T>(match: (text: string, index: number) => T | undefined, from: number, timeoutMs: number): Promise<T>;
  tail(count: number): string;
}>;

/** Firmware and systemd-boot write plenty of terminal control sequences. */
const plain = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/\p{Cc}/gu, '')
    .trim();

export function createSerialLog(): SerialLog {
  const lines: SerialLine[] = [];
  const waiting = new Set<() => void>();
  const started = performance.now();
  let rest = '';
  let over: string | undefined;

  const add = (text: string): void => {
    const clean = plain(text);
    if (clean !== '') lines.push({ at: performance.now() - started, text: clean });
    for (const look of [...waiting]) look();
  };

  return {
    lines,
    feed(bytes) {
      const parts = (rest + Buffer.from(bytes).toString('utf8')).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) add(part);
    },
    cut(note) {
      if (rest !== '') add(rest);
      rest = '';
      add(`--- ${note}`);
    },
    end(why) {
      over = why;
      add(`--- ${why}`);
    },
    next(match, from, timeoutMs) {
      return new Promise((resolve, reject) => {
        let index = from;
        const finish = (): void => {
          clearTimeout(timer);
          waiting.delete(look);
        };
        const timer = setTimeout(() => {
          finish();
          reject(new Error(`nothing awaited came from the guest in ${timeoutMs / 1000} s`));
        }, timeoutMs);
        const look = (): void => {
          for (; index < lines.length; index += 1) {
            const found = match(lines[index]?.text ?? '', index);
            if (found === undefined) continue;
            finish();
            resolve(found);
            return;
          }
          if (over === undefined) return;
          finish();
          reject(new Error(over));
        };
        waiting.add(look);
        look();
      });
    },
    tail: (count) =>
      lines
        .slice(-count)
        .map((line) => `${(line.at / 1000).toFixed(1).padStart(7)} ${line.text}`)
        .join('\n'),
  };
}
