/** Asks for a passphrase on the terminal, without echo. */

import { open } from 'node:fs/promises';
import { ReadStream } from 'node:tty';

/** The input before Enter; undefined without a terminal. */
export async function askSecret(question: string): Promise<string | undefined> {
  const terminal = await open('/dev/tty', 'r+').catch(() => undefined);
  if (terminal === undefined) return undefined;
  await using _ = terminal;
  await terminal.write(question);
  const input = new ReadStream(terminal.fd);
  input.setRawMode(true);
  try {
    return await lineFrom(input);
  } finally {
    input.setRawMode(false);
    input.destroy();
    await terminal.write('\n').catch(() => {});
  }
}

const ENTER = /[\r\n]/;
const INTERRUPT = '\u0003';
const ERASE = /[\u007f\b]/;

async function lineFrom(input: ReadStream): Promise<string | undefined> {
  let line = '';
  for await (const chunk of input.setEncoding('utf8'))
    for (const key of String(chunk)) {
      if (ENTER.test(key)) return line;
      if (key === INTERRUPT) return undefined;
      line = ERASE.test(key) ? line.slice(0, -1) : line + key;
    }
  return line;
}
