/** A file on a web server that can be read from any offset and goes on after a broken connection. */

import { asUpdateError, type ErrorCode, type UpdateError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Http } from './http.ts';
import { redactUrl } from './http-answer.ts';
import type { Random } from './random.ts';

export type Resumption = Readonly<{
  clock: Clock;
  random: Random;
  /** Failures in a row, without progress between them, until it gives up. */
  attempts?: number;
  baseDelayMs?: number;
  maxDelayMs?: number;
}>;

export interface HttpSource {
  readonly name: string;
  readonly size: number;
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}

/** The file at `url`, whose signed size is `size`. */
export const httpSource = (http: Http, url: string, size: number, resumption: Resumption): HttpSource => ({
  name: redactUrl(url),
  size,
  open: (offset, signal, end = size) => resumed(http, url, { offset, end, size }, resumption, signal),
});

type Reach = Readonly<{ offset: number; end: number; size: number }>;

// Fewer bytes than this do not count as progress, or a server could keep us busy for ever with one byte a connection.
const PROGRESS_BYTES = 65_536;

const RESUMABLE: ReadonlySet<ErrorCode> = new Set([
  'server-unreachable',
  'server-timeout',
  'server-slow',
  'connection-lost',
  'server-failed',
  'server-busy',
]);

async function* resumed(
  http: Http,
  url: string,
  reach: Reach,
  resumption: Resumption,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let at = reach.offset;
  let failures = 0;
  while (at < reach.end) {
    const began = at;
    try {
      const request = { offset: at, end: reach.end, expectedTotal: reach.size, signal };
      for await (const chunk of http.openBytes(url, request)) {
        at += chunk.length;
        yield chunk;
      }
    } catch (error) {
      signal.throwIfAborted();
      failures = at - began >= PROGRESS_BYTES ? 1 : failures + 1;
      await pause(asUpdateError(error), failures, resumption, signal);
    }
  }
}

async function pause(error: UpdateError, failures: number, resumption: Resumption, signal: AbortSignal): Promise<void> {
  const { clock, random, attempts = 6, baseDelayMs = 500, maxDelayMs = 30_000 } = resumption;
  if (!RESUMABLE.has(error.code) || failures >= attempts) throw error;
  const asked = error.details['retryAfterMs'];
  // A long wait is the schedule's business, not that of an open download.
  if (typeof asked === 'number' && asked > maxDelayMs) throw error;
  const jitter = random.fraction() * Math.min(maxDelayMs, baseDelayMs * 2 ** failures);
  await clock.sleep(Math.max(jitter, typeof asked === 'number' ? asked : 0), signal);
}
