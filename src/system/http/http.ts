/** Fetches bytes over HTTP; every length is bounded before reading. */

import { UpdateError } from '../../errors.ts';
import {
  type AnswerHead,
  announcedLength,
  bytesToSkip,
  checkHead,
  checkPart,
  retryAfterMs,
  tooMuch,
} from './answer.ts';
import { fetchDocument } from './document.ts';
import { createExchange, type Exchange, type HttpOptions, type Message, type Method, patienceFor } from './exchange.ts';
import { redactUrl } from './shown-address.ts';

export type { HttpOptions, Method } from './exchange.ts';

export interface Http {
  /** A small document, complete and current, whatever caches contain. */
  fetchBytes(url: string, options: Readonly<{ maxBytes: number; signal: AbortSignal }>): Promise<Uint8Array>;
  /** Sends a small document, by default with POST, and returns a small answer of any status; `retryAfterMs` is from Retry-After. */
  post(
    url: string,
    options: Readonly<{
      method?: Method;
      body?: string;
      headers?: Readonly<Record<string, string>>;
      maxBytes: number;
      totalTimeoutMs: number;
      signal: AbortSignal;
    }>,
  ): Promise<Readonly<{ status: number; body: Uint8Array; retryAfterMs?: number }>>;
  /** Sends a small document and returns an endless answer, until aborted or silent for `idleTimeoutMs`. */
  postStream(
    url: string,
    options: Readonly<{
      body: string;
      headers?: Readonly<Record<string, string>>;
      idleTimeoutMs: number;
      signal: AbortSignal;
    }>,
  ): AsyncIterable<Uint8Array>;
  /**
   * The bytes of a large file from `offset` up to `end`; `expectedTotal` is its signed size. With `partsOnly`, throws if the server sends
   * the whole file instead of a part.
   */
  openBytes(
    url: string,
    options: Readonly<{
      offset: number;
      end?: number;
      expectedTotal: number;
      partsOnly?: boolean;
      signal: AbortSignal;
    }>,
  ): AsyncIterable<Uint8Array>;
}

/** An HTTP client whose settings come only from the configuration. */
export function createHttp(options: HttpOptions): Http {
  const exchange = createExchange(options);
  return {
    fetchBytes: (url, request) => fetchDocument(exchange, options, url, request),
    post: (url, request) => post(exchange, options, url, request),
    postStream: (url, request) => postStream(exchange, options, url, request),
    openBytes: (url, request) => openBytes(exchange, options, url, request),
  };
}

type PostRequest = Parameters<Http['post']>[1];
type OpenRequest = Parameters<Http['openBytes']>[1];

const DEFAULT_MAX_SKIP = 1024 ** 3;

async function post(
  exchange: Exchange,
  options: HttpOptions,
  url: string,
  request: PostRequest,
): ReturnType<Http['post']> {
  const name = redactUrl(url);
  const message = messageOf(request);
  let status = 0;
  let wait: number | undefined;
  const answer = await wholeOf(exchange, options, url, message, request, (head) => {
    status = head.statusCode;
    if (status === 429 || status === 503) wait = retryAfterMs(head.headers['retry-after'], options.clock.now());
    // Callers understand other statuses, but not these, nor encodings.
    if (status < 200 || (status >= 300 && status < 400)) checkHead(head, name, options.clock.now());
    checkHead({ headers: head.headers, statusCode: 200 }, name, options.clock.now());
  });
  return { status, body: answer, ...(wait === undefined ? {} : { retryAfterMs: wait }) };
}

function postStream(
  exchange: Exchange,
  options: HttpOptions,
  url: string,
  request: Parameters<Http['postStream']>[1],
): AsyncIterable<Uint8Array> {
  const patience = { idleMs: request.idleTimeoutMs };
  return exchange(url, messageOf(request), patience, request.signal, (answer) =>
    checkHead(answer, redactUrl(url), options.clock.now()),
  );
}

const messageOf = ({ method = 'POST', body, headers }: Pick<PostRequest, 'method' | 'body' | 'headers'>): Message => ({
  method,
  // Without a body the client would wait for one, so an empty one is sent.
  ...(method === 'GET' ? {} : { body: body ?? '' }),
  headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
});

async function wholeOf(
  exchange: Exchange,
  options: HttpOptions,
  url: string,
  message: Message,
  limits: Pick<PostRequest, 'maxBytes' | 'totalTimeoutMs' | 'signal'>,
  judge: (answer: AnswerHead) => void,
): Promise<Uint8Array> {
  const name = redactUrl(url);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const patience = { idleMs: options.idleTimeoutMs, totalMs: limits.totalTimeoutMs };
  for await (const chunk of exchange(url, message, patience, limits.signal, (answer) => {
    judge(answer);
    if ((announcedLength(answer) ?? 0) > limits.maxBytes) throw tooMuch(name, limits.maxBytes);
  })) {
    size += chunk.length;
    if (size > limits.maxBytes) throw tooMuch(name, limits.maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* openBytes(
  exchange: Exchange,
  options: HttpOptions,
  url: string,
  request: OpenRequest,
): AsyncGenerator<Uint8Array> {
  const { offset, end = request.expectedTotal, expectedTotal: total } = request;
  if (offset >= end) return;
  const name = redactUrl(url);
  const ranged = offset > 0 || end < total;
  const headers = ranged ? { range: `bytes=${offset}-${end - 1}` } : {};
  const patience = patienceFor(options);
  let skip = 0;
  let left = end - offset;
  let [isMore, isOpenEnded] = [false, false];
  const judge = (answer: AnswerHead): void => {
    if (ranged && request.partsOnly === true) checkPart(answer, { offset, end, total }, name);
    checkHead(answer, name, options.clock.now());
    isMore = answer.statusCode === 200 && end < total;
    isOpenEnded = announcedLength(answer) === undefined;
    skip = bytesToSkip(answer, { offset, end, total }, ranged, name);
    if (skip > (options.maxSkipBytes ?? DEFAULT_MAX_SKIP))
      throw new UpdateError(
        'server-no-ranges',
        `${name}: the server sent the whole file instead of its end from byte ${offset}.`,
      );
  };
  for await (const chunk of exchange(url, { headers }, patience, request.signal, judge)) {
    await options.rateLimit?.take(chunk.length, request.signal);
    const wanted = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - wanted.length;
    if (wanted.length > left && !isMore) throw tooMuch(name, end);
    const part = wanted.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
    // Stops early: the rest of the file is not needed, and without a length its end is unknown.
    if (left === 0 && (isMore || isOpenEnded)) return;
  }
  if (left > 0) throw new UpdateError('connection-lost', `${name} ended ${left} bytes early.`);
}
