/** Resumes reading after a failure: at the reached byte, from the next mirror, or after a pause if all have failed. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Mirrors } from './mirrors.ts';

export type Resumption = Readonly<{
  clock: Clock;
  random: Random;
  /** The number of consecutive failures, without progress and without another mirror to try, before it gives up. */
  attempts?: number;
  baseDelayMs?: number;
  maxDelayMs?: number;
}>;

/** Bytes, and the mirror they came from. */
export type Delivery = Readonly<{ bytes: Uint8Array; mirror: number }>;

export const DEFAULT_MAX_DELAY_MS = 30_000;

/** The bytes from `start` up to `end`, from any mirror except these. */
export async function* resumed(
  mirrors: Mirrors,
  { start, end }: Readonly<{ start: number; end: number }>,
  resumption: Resumption,
  signal: AbortSignal,
  not: ReadonlySet<number> = new Set(),
): AsyncGenerator<Delivery> {
  let at = start;
  let failures = 0;
  let mirror = mirrors.next(not)?.mirror;
  while (at < end) {
    if (mirror === undefined) throw new UpdateError('server-unreachable', 'No mirror is left to ask.');
    const began = at;
    try {
      for await (const chunk of mirrors.sources[mirror]?.open(at, signal, end) ?? []) {
        const bytes = chunk.subarray(0, end - at);
        at += bytes.length;
        yield { bytes, mirror };
      }
      if (at < end)
        throw new UpdateError('connection-lost', `${mirrors.sources[mirror]?.name} ended ${end - at} bytes early.`);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asUpdateError(error);
      mirrors.failed(mirror, failure);
      if (at - began >= PROGRESS_BYTES) failures = 0;
      const next = mirrors.next(not);
      if (next?.isBehind !== false) failures += 1;
      if (next === undefined || failures >= (resumption.attempts ?? 6)) throw failure;
      if (next.isBehind) await pause(failures, next.askedMs, resumption, signal);
      mirror = next.mirror;
    }
  }
}

// Fewer bytes are no progress, or a server could keep us busy forever with one byte per connection.
const PROGRESS_BYTES = 65_536;

async function pause(failures: number, askedMs: number, resumption: Resumption, signal: AbortSignal): Promise<void> {
  const { clock, random, baseDelayMs = 500, maxDelayMs = DEFAULT_MAX_DELAY_MS } = resumption;
  const jitter = random.fraction() * Math.min(maxDelayMs, baseDelayMs * 2 ** failures);
  await clock.sleep(Math.max(jitter, askedMs), signal);
}
