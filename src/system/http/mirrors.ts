/** Chooses the next mirror: the first in order without a recent failure. */

import type { ErrorCode, UpdateError } from '../../errors.ts';
import type { Clock } from '../clock.ts';

/** A random-access file on one mirror; an error ends that attempt. */
export interface RangeSource {
  /** For messages: a URL without credentials, or a path. */
  readonly name: string;
  readonly size: number;
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}

/** The state of one file's mirrors, shared by the connections of a download. */
export interface Mirrors {
  readonly sources: readonly RangeSource[];
  /** The next mirror except these; undefined if there is none. */
  next(not: ReadonlySet<number>): Choice | undefined;
  /** Moves a mirror behind the others for a while, or for the rest of the download if waiting cannot help; without an error, it sent wrong bytes. */
  failed(mirror: number, error?: UpdateError): void;
}

/** `isBehind`: it failed recently, so a pause should come first, of at least `askedMs` if the mirror requested that. */
export type Choice = Readonly<{ mirror: number; isBehind: boolean; askedMs: number }>;

/** The mirrors in `sources`; one that requests a longer pause than `mostWaitMs` is not waited for. */
export function createMirrors(sources: readonly RangeSource[], clock: Clock, mostWaitMs: number): Mirrors {
  const states = sources.map(() => ({ behindUntil: 0, failures: 0, isOut: false, askedMs: 0 }));
  return {
    sources,
    next: (not) => {
      const now = clock.monotonicMs();
      const left = states
        .map((state, mirror) => ({ ...state, mirror }))
        .filter((one) => !one.isOut && !not.has(one.mirror));
      const front = left.find((one) => one.behindUntil <= now);
      const chosen = front ?? left.toSorted((a, b) => a.behindUntil - b.behindUntil)[0];
      return chosen && { mirror: chosen.mirror, isBehind: front === undefined, askedMs: chosen.askedMs };
    },
    failed: (mirror, error) => {
      const state = states[mirror];
      if (state === undefined) return;
      const asked = error?.details['retryAfterMs'];
      state.askedMs = typeof asked === 'number' ? asked : 0;
      // Long waits belong to the schedule, not to an open download.
      state.isOut = (error !== undefined && !PASSING.has(error.code)) || state.askedMs > mostWaitMs;
      const penalty = Math.min(LONGEST_PENALTY_MS, PENALTY_MS * 2 ** state.failures++);
      state.behindUntil = clock.monotonicMs() + Math.max(penalty, state.askedMs);
    },
  };
}

const PENALTY_MS = 30_000;
const LONGEST_PENALTY_MS = 600_000;

/** Failures that may be temporary. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'server-unreachable',
  'server-timeout',
  'server-slow',
  'connection-lost',
  'server-failed',
  'server-busy',
]);
