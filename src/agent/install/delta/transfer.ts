/** Counts the bytes that an install fetches, copies and keeps, and measures the download rate. */

import type { ByteSource } from '../../../bundle/byte-source.ts';
import type { ErrorCode } from '../../../errors.ts';
import type { TransferStatus } from '../../../protocol.ts';
import type { Clock } from '../../../system/clock.ts';
import type { Tally } from './job.ts';

export interface Transfer {
  /** A tier begins; changes to the tally show at once. */
  begin(tier: TransferStatus['tier']): Tally;
  /** The number of bytes it will fetch, and their source. */
  planned(bytes: number, from: string): void;
  fell(tier: TransferStatus['tier'], code: ErrorCode): void;
  /** The available tiers, in order. */
  choices(all: NonNullable<TransferStatus['choices']>): void;
  /** The same source, with its bytes counted. */
  counted<T extends ByteSource>(source: T): T;
  status(): TransferStatus;
  /** Bytes per second while waiting for bytes; undefined if too few arrived to tell. */
  rate(): number | undefined;
}

/** A new count. `rate` is the last measured rate, to estimate the time. */
export function createTransfer(clock: Pick<Clock, 'monotonicMs'>, lastRate: number | undefined): Transfer {
  const fallen: { tier: TransferStatus['tier']; code: string }[] = [];
  let tier: TransferStatus['tier'] = 'full';
  let tally: Tally = { copied: 0, kept: 0 };
  let plan: Readonly<{ bytes: number; from: string }> | undefined;
  let choices: TransferStatus['choices'];
  let fetched = 0;
  let waitedMs = 0;

  // Several connections wait at the same time; that time counts only once.
  let waiting = 0;
  let since = 0;
  const began = (): void => {
    if (waiting++ === 0) since = clock.monotonicMs();
  };
  const ended = (): void => {
    if (--waiting === 0) waitedMs += clock.monotonicMs() - since;
  };

  async function* counting(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    began();
    try {
      for await (const piece of pieces) {
        ended();
        fetched += piece.length;
        try {
          yield piece;
        } finally {
          began();
        }
      }
    } finally {
      ended();
    }
  }

  const counted = <T extends ByteSource>(source: T): T => ({
    ...source,
    open: (offset: number, signal: AbortSignal, end?: number) => counting(source.open(offset, signal, end)),
  });

  const rate = (): number | undefined =>
    fetched >= ENOUGH && waitedMs > 0 ? Math.round((fetched * 1000) / waitedMs) : undefined;

  return {
    begin: (next) => {
      tier = next;
      plan = undefined;
      tally = { copied: 0, kept: 0 };
      return tally;
    },
    planned: (bytes, from) => {
      plan = { bytes, from };
    },
    fell: (from, code) => void fallen.push({ tier: from, code }),
    choices: (all) => {
      choices = all;
    },
    counted,
    status: () => {
      const speed = rate() ?? lastRate;
      const seconds = plan && speed ? { seconds: Math.ceil(plan.bytes / speed) } : {};
      const planned = plan ? { planned: { ...plan, ...seconds } } : {};
      return { tier, fetched, ...tally, ...planned, ...(choices ? { choices } : {}), fallen: [...fallen] };
    },
    rate,
  };
}

/** Fewer bytes than this say nothing about the rate. */
const ENOUGH = 256 * 1024;
