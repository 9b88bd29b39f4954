/** How long an HTTP exchange may take: for its head, between two pieces, in all, and how slow it may be. */

import { UpdateError } from '../../errors.ts';
import type { Clock } from '../clock.ts';

export type Patience = Readonly<{
  headMs: number;
  idleMs: number;
  totalMs?: number;
  rate?: Readonly<{ bytesPerSecond: number; windowMs: number }>;
}>;

export interface Watch extends Disposable {
  /** The body's next piece is awaited from now on; before the first call, the head is. */
  waiting(): void;
  /** A piece came; the reader's own time, until the next `waiting`, counts for nothing. */
  received(bytes: number): void;
}

/** Watches over one exchange and calls `fail`, once, when patience has an end. */
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

/** One timer for the whole exchange instead of one for each piece: late by a quarter at most. */
const tick = ({ headMs, idleMs, totalMs = idleMs }: Patience): number =>
  Math.min(1000, Math.max(5, Math.min(headMs, idleMs, totalMs) / 4));

const late = (name: string, what: string, ms: number): UpdateError =>
  new UpdateError('server-timeout', `${name}: waited ${ms} ms for ${what}.`);

const slow = (name: string, bytes: number, ms: number): UpdateError =>
  new UpdateError('server-slow', `${name}: only ${bytes} bytes came in ${Math.round(ms)} ms.`);
