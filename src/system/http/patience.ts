/** Time limits of an HTTP exchange: for the head, between two pieces, in total, and for the rate. */

import { UpdateError } from '../../errors.ts';
import type { Clock } from '../clock.ts';

export type Patience = Readonly<{
  headMs: number;
  idleMs: number;
  totalMs?: number;
  rate?: Readonly<{ bytesPerSecond: number; windowMs: number }>;
}>;

export interface Watch extends Disposable {
  /** Starts to wait for the next piece of the body; before the first call, for the head. */
  waiting(): void;
  /** A piece arrived; the reader's own time until the next `waiting` does not count. */
  received(bytes: number): void;
}

/** Watches one exchange, and calls `fail` once when a limit is exceeded. */
export function watchOver(clock: Clock, patience: Patience, name: string, fail: (error: UpdateError) => void): Watch {
  const began = clock.monotonicMs();
  let limit = patience.headMs;
  let since: number | undefined = began;
  let waitedMs = 0;
  let windowBytes = 0;
  const over = (error: UpdateError): void => {
    clearInterval(timer);
    fail(error);
  };
  const check = (): void => {
    const now = clock.monotonicMs();
    if (patience.totalMs !== undefined && now - began >= patience.totalMs) over(late(name, 'it', patience.totalMs));
    else if (since !== undefined && now - since >= limit) over(late(name, 'more', limit));
  };
  const timer = setInterval(check, tick(patience));
  return {
    waiting: () => {
      limit = patience.idleMs;
      since = clock.monotonicMs();
    },
    received: (bytes) => {
      waitedMs += clock.monotonicMs() - (since ?? 0);
      since = undefined;
      windowBytes += bytes;
      if (patience.rate === undefined || waitedMs < patience.rate.windowMs) return;
      if (windowBytes < (patience.rate.bytesPerSecond * waitedMs) / 1000) throw slow(name, windowBytes, waitedMs);
      waitedMs = 0;
      windowBytes = 0;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** One timer for the whole exchange instead of one per piece: at most a quarter late. */
const tick = ({ headMs, idleMs, totalMs = idleMs }: Patience): number =>
  Math.min(1000, Math.max(5, Math.min(headMs, idleMs, totalMs) / 4));

const late = (name: string, what: string, ms: number): UpdateError =>
  new UpdateError('server-timeout', `${name}: waited ${ms} ms for ${what}.`);

const slow = (name: string, bytes: number, ms: number): UpdateError =>
  new UpdateError('server-slow', `${name}: only ${bytes} bytes came in ${Math.round(ms)} ms.`);
