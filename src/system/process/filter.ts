/** Sends bytes through a program, such as a decompressor. */

import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UpdateError } from '../../errors.ts';

/** Its standard output. A caller that stops early ends the program. */
export async function* filtered(
  [program, ...args]: readonly [string, ...string[]],
  input: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'], signal, killSignal: 'SIGKILL' });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  // Both are awaited below; until then a failure must not end this process.
  ended.catch(() => undefined);
  // The program may end before it has read everything.
  const fed = pipeline(Readable.from(input), child.stdin, { signal }).catch(() => undefined);
  try {
    for await (const piece of child.stdout) yield piece as Uint8Array;
    await fed;
    const code = await ended;
    if (code !== 0) throw new UpdateError('tool-failed', `${program} ended with status ${code}.`);
  } catch (error) {
    throw missing(program, error);
  } finally {
    child.kill('SIGKILL');
  }
}

function missing(program: string, error: unknown): unknown {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
  return isMissing ? new UpdateError('tool-missing', `${program} is not installed.`) : error;
}
