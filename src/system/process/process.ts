/** This process: its streams, its environment, and the signals that stop it. */

import { constants } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { UpdateError } from '../../errors.ts';

/** An environment variable. */
export const env = (name: string): string | undefined => process.env[name];

export function cwd(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new UpdateError('file-absent', 'The current directory no longer exists.', { cause });
  }
}

/** Standard output and error, for people or programs. */
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

/** A reader that stops early (`updatectl history | head -1`) is no failure. */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

/** Aborts on the first SIGINT or SIGTERM; a second signal ends the process immediately. */
export function onStop(reason: () => Error): AbortSignal {
  const controller = new AbortController();
  // The listeners stay: without them, the library that stops our child processes would end this process too.
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + constants.signals[name]);
      controller.abort(reason());
    });
  return controller.signal;
}

/** An unhandled rejection ends the process; while this is held, it is reported instead. */
export function onUnhandledRejection(report: (reason: unknown) => void): Disposable {
  process.on('unhandledRejection', report);
  return { [Symbol.dispose]: () => void process.off('unhandledRejection', report) };
}

/** Ends the process without waiting for idle connections and timers. The caller has already saved everything. */
export const endNow = (status = 0): never => process.exit(status);

/** For a process that runs for weeks next to others: frees heap early, at the cost of some time. */
export const keepHeapSmall = (): void => setFlagsFromString('--optimize-for-size');

/** The processor architecture, in Node.js's terms. */
export const processor = (): string => process.arch;
