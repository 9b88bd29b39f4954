/** Asks a person at the terminal. */

import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { ReadStream } from 'node:tty';

/** One line; undefined without a terminal, or if it ends. */
export async function askLine(question: string, signal: AbortSignal): Promise<string | undefined> {
  const terminal = await open('/dev/tty', 'r+').catch(() => undefined);
  if (terminal === undefined) return undefined;
  await using _ = terminal;
  await terminal.write(question);
  const input = new ReadStream(terminal.fd);
  const lines = createInterface({ input, terminal: false, signal });
  try {
    for await (const line of lines) return line;
    return undefined;
  } finally {
    lines.close();
    input.destroy();
  }
}
