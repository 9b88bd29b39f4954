/** Fetches a small document completely, resuming at the reached byte after a broken connection. */

import { UpdateError } from '../../errors.ts';
import { type AnswerHead, announcedLength, bytesToSkip, checkHead, tooMuch } from './answer.ts';
import { type Exchange, type HttpOptions, patienceFor } from './exchange.ts';
import { redactUrl } from './shown-address.ts';

type Request = Readonly<{ maxBytes: number; signal: AbortSignal }>;

/** The bytes of a document, as its server has it now. Parts are joined only by the length; the caller verifies the content. */
export async function fetchDocument(
  exchange: Exchange,
  options: HttpOptions,
  url: string,
  request: Request,
): Promise<Uint8Array> {
  const partial: Partial = { chunks: [], size: 0 };
  for (let breaks = 0; ; breaks++) {
    const before = partial.size;
    try {
      await readOn(partial, exchange, options, url, request);
      return Buffer.concat(partial.chunks);
    } catch (error) {
      const isBroken =
        error instanceof UpdateError && (error.code === 'connection-lost' || error.code === 'server-timeout');
      const canGoOn = partial.total !== undefined && partial.size > before && breaks < MOST_BREAKS;
      if (!isBroken || !canGoOn) throw error;
    }
  }
}

/** The bytes so far; `total` if the server has stated it. */
type Partial = { chunks: Uint8Array[]; size: number; total?: number | undefined };

/** A server that sends a few bytes per connection is given up. */
const MOST_BREAKS = 10;

// A caching proxy could otherwise hide a release for as long as it likes.
const PAST_CACHES = { 'cache-control': 'no-cache', pragma: 'no-cache' };

async function readOn(
  partial: Partial,
  exchange: Exchange,
  options: HttpOptions,
  url: string,
  { maxBytes, signal }: Request,
): Promise<void> {
  const name = redactUrl(url);
  const { size: offset } = partial;
  const headers = { ...PAST_CACHES, ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) };
  const judge = (answer: AnswerHead): void => {
    checkHead(answer, name, options.clock.now());
    takeHead(partial, answer, name);
    if ((partial.total ?? 0) > maxBytes) throw tooMuch(name, maxBytes);
  };
  for await (const chunk of exchange(url, { headers }, patienceFor(options), signal, judge)) {
    partial.size += chunk.length;
    if (partial.size > maxBytes) throw tooMuch(name, maxBytes);
    partial.chunks.push(chunk);
  }
}

function takeHead(partial: Partial, answer: AnswerHead, name: string): void {
  const { size: offset, total = 0 } = partial;
  if (answer.statusCode === 206) {
    if (offset === 0) throw new UpdateError('server-protocol', `${name}: the server sent a part without being asked.`);
    bytesToSkip(answer, { offset, end: total, total }, true, name);
    return;
  }
  // The whole document, again or for the first time.
  Object.assign(partial, { chunks: [], size: 0, total: announcedLength(answer) });
}
