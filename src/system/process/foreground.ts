/** Runs a program in this terminal as a wrapper: it shares our streams and gets the keyboard's signals. */

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { UpdateError } from '../../errors.ts';

/** Returns its exit status, or 128 plus the signal's number, as shells do. It ends when we do. */
export function runInForeground(command: readonly [string, ...string[]], signal: AbortSignal): Promise<number> {
  const [program, ...args] = command;
  const child = spawn(program, args, { stdio: 'inherit' });
  const end = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  return new Promise<number>((resolve, reject) => {
    child.once('error', (error) =>
      reject(new UpdateError('usage', `${program} cannot be run: ${error.message}.`, { cause: error })),
    );
    child.once('exit', (code, name) => resolve(code ?? 128 + constants.signals[name ?? 'SIGTERM']));
  }).finally(() => signal.removeEventListener('abort', end));
}
