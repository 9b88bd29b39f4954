/** This process: its streams, its environment, the signals that stop it. */

import { constants } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { UpdateError } from '../../errors.ts';

/** One variable of the environment. */
export const env = (name: string): string | undefined => process.env[name];

export function cwd(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new UpdateError('file-absent', 'The folder in which this was called does not exist any more.', { cause });
  }
}

/** Standard output and error, as people or programs see them. */
export const standardStreams = {
  out: (text: string): void => void process.stdout.write(text),
  err: (text: string): void => void process.stderr.write(text),
  /** By the convention of no-color.org. */
  get hasColour(): boolean {
    return process.stdout.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
  },
  get isTerminal(): boolean {
    return process.stdout.isTTY === true && process.stderr.isTTY === true;
  },
  width: (): number => process.stdout.columns ?? 80,
};

/** A reader that has seen enough (`updatectl history | head -1`) is no failure. */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

/** Aborted once by SIGINT or SIGTERM; a second signal ends the process at once. */
export function onStop(reason: () => Error): AbortSignal {
  const controller = new AbortController();
  // The listeners stay: the library that ends our child processes with us takes their absence for leave to end us as well.
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
      controller.abort(reason());
    });
  return controller.signal;
}

/** A rejected promise that nobody waits for ends the process; while this is held, it is told instead. */
export function hearStrays(told: (reason: unknown) => void): Disposable {
  process.on('unhandledRejection', told);
  return { [Symbol.dispose]: () => void process.off('unhandledRejection', told) };
}

/**
 * Ends the process, without waiting for what is still open: a connection kept for the next question, a timer. Whoever calls it has
 * put everything away.
 */
export const endNow = (status = 0): never => process.exit(status);

/** For a process that runs for weeks beside others: its heap is tidied up early, at the price of some time. */
export const keepHeapSmall = (): void => setFlagsFromString('--optimize-for-size');

/** The processor, as Node.js names it. */
export const processor = (): string => process.arch;
