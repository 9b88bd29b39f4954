/** Fetches bytes over HTTP: no redirects, no decompression, every wait and every length bounded. The only importer of got. */

import got, { type Got, type Request, type Response } from 'got';
import { UpdateError } from '../errors.ts';
import type { Clock } from './clock.ts';
import { createAgents } from './connections.ts';
import type { Lookup } from './dial.ts';
import { announcedLength, bytesToSkip, checkHead, checkPart, redactUrl, retryAfterMs } from './http-answer.ts';
import { connectionFailure } from './http-failure.ts';
import { type Patience, watchOver } from './http-patience.ts';
import type { RateLimit } from './rate-limit.ts';

export type HttpOptions = Readonly<{
  /** `http://[user:password@]host:port`; nothing is read from the environment. */
  proxy?: string;
  /** PEM certificates to trust instead of the system's. */
  ca?: Uint8Array;
  /** PEM: what this host shows of itself to servers that ask. */
  identity?: Readonly<{ certificate: Uint8Array; key: Uint8Array }>;
  connectTimeoutMs: number;
  /** How names become addresses, if not as everywhere on this system. */
  lookup?: Lookup;
  /** The longest silence, before the answer and within it. */
  idleTimeoutMs: number;
  /** What a large file must at least bring, averaged over the window; time spent by the reader does not count. */
  minimumRate?: Readonly<{ bytesPerSecond: number; windowMs: number }>;
  /** The most that is thrown away when a server sends a whole file instead of its end. */
  maxSkipBytes?: number;
  userAgent: string;
  clock: Clock;
  /** How fast large files may come. */
  rateLimit?: RateLimit;
  /** Told of every request and of all bytes of every body as they come. */
  counted?(more: Readonly<{ requests: number; bytes: number }>): void;
}>;

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface Http {
  /** A small document, whole. */
  fetchBytes(
    url: string,
    options: Readonly<{ maxBytes: number; totalTimeoutMs: number; signal: AbortSignal }>,
  ): Promise<Uint8Array>;
  /** Sends a small document, with POST unless told otherwise, and takes a small answer, whatever its status; `retryAfterMs` is what a busy server asks for. */
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
  /** Sends a small document and takes an answer without end, until somebody leaves or nothing comes for `idleTimeoutMs`. */
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
   * The bytes of a large file from `offset` up to `end`; `expectedTotal` is the file's signed size. With `partsOnly` a server that
   * sends the whole file instead of a part is refused.
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

/** An HTTP client whose settings come from the configuration alone. */
export function createHttp(options: HttpOptions): Http {
  const client = configured(options);
  return {
    fetchBytes: (url, request) => fetchBytes(client, options, url, request),
    post: (url, request) => post(client, options, url, request),
    postStream: (url, request) => postStream(client, options, url, request),
    openBytes: (url, request) => openBytes(client, options, url, request),
  };
}

type FetchRequest = Parameters<Http['fetchBytes']>[1];
type PostRequest = Parameters<Http['post']>[1];
type OpenRequest = Parameters<Http['openBytes']>[1];

/** What a request says besides its address. */
type Message = Readonly<{ method?: Method; body?: string; headers?: Readonly<Record<string, string>> }>;

const DEFAULT_RATE = { bytesPerSecond: 1024, windowMs: 60_000 };
const DEFAULT_MAX_SKIP = 1024 ** 3;

function configured(options: HttpOptions): Got {
  const connect = options.connectTimeoutMs;
  return got.extend({
    agent: createAgents(options),
    decompress: false,
    followRedirect: false,
    throwHttpErrors: false,
    retry: { limit: 0 },
    timeout: { lookup: connect, connect, secureConnect: connect },
    headers: { 'user-agent': options.userAgent, 'accept-encoding': 'identity' },
    https: tlsOf(options),
  });
}

function tlsOf({ ca, identity }: HttpOptions): object {
  return {
    ...(ca === undefined ? {} : { certificateAuthority: Buffer.from(ca) }),
    ...(identity ? { certificate: Buffer.from(identity.certificate), key: Buffer.from(identity.key) } : {}),
  };
}

function fetchBytes(client: Got, options: HttpOptions, url: string, request: FetchRequest): Promise<Uint8Array> {
  const name = redactUrl(url);
  return wholeOf(client, options, url, {}, request, (answer) => {
    checkHead(answer, name, options.clock.now());
    if (answer.statusCode === 206) throw new UpdateError('server-protocol', `${name}: a part came uninvited.`);
  });
}

async function post(client: Got, options: HttpOptions, url: string, request: PostRequest): ReturnType<Http['post']> {
  const name = redactUrl(url);
  const message = messageOf(request);
  let status = 0;
  let wait: number | undefined;
  const answer = await wholeOf(client, options, url, message, request, (head) => {
    status = head.statusCode;
    if (status === 429 || status === 503) wait = retryAfterMs(head.headers['retry-after'], options.clock.now());
    // Of other statuses the caller knows what they mean, but not of these, and not of encodings.
    if (status < 200 || (status >= 300 && status < 400)) checkHead(head, name, options.clock.now());
    checkHead({ headers: head.headers, statusCode: 200 }, name, options.clock.now());
  });
  return { status, body: answer, ...(wait === undefined ? {} : { retryAfterMs: wait }) };
}

function postStream(
  client: Got,
  options: HttpOptions,
  url: string,
  request: Parameters<Http['postStream']>[1],
): AsyncIterable<Uint8Array> {
  const patience = { idleMs: request.idleTimeoutMs };
  return exchange(client, options, url, messageOf(request), patience, request.signal, (answer) =>
    checkHead(answer, redactUrl(url), options.clock.now()),
  );
}

const messageOf = ({ method = 'POST', body, headers }: Pick<PostRequest, 'method' | 'body' | 'headers'>): Message => ({
  method,
  // A body that is not there would be waited for.
  ...(method === 'GET' ? {} : { body: body ?? '' }),
  headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
});

async function wholeOf(
  client: Got,
  options: HttpOptions,
  url: string,
  message: Message,
  limits: Pick<FetchRequest, 'maxBytes' | 'totalTimeoutMs' | 'signal'>,
  judge: (answer: Response) => void,
): Promise<Uint8Array> {
  const name = redactUrl(url);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const patience = { idleMs: options.idleTimeoutMs, totalMs: limits.totalTimeoutMs };
  for await (const chunk of exchange(client, options, url, message, patience, limits.signal, (answer) => {
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
  client: Got,
  options: HttpOptions,
  url: string,
  request: OpenRequest,
): AsyncGenerator<Uint8Array> {
  const { offset, end = request.expectedTotal, expectedTotal: total } = request;
  if (offset >= end) return;
  const name = redactUrl(url);
  const ranged = offset > 0 || end < total;
  const headers = ranged ? { range: `bytes=${offset}-${end - 1}` } : {};
  const patience = { idleMs: options.idleTimeoutMs, rate: options.minimumRate ?? DEFAULT_RATE };
  let skip = 0;
  let left = end - offset;
  let [isMore, isOpenEnded] = [false, false];
  const judge = (answer: Response): void => {
    if (ranged && request.partsOnly === true) checkPart(answer, { offset, end, total }, name);
    checkHead(answer, name, options.clock.now());
    isMore = answer.statusCode === 200 && end < total;
    isOpenEnded = announcedLength(answer) === undefined;
    skip = bytesToSkip(answer, { offset, end, total }, ranged, name);
    if (skip > (options.maxSkipBytes ?? DEFAULT_MAX_SKIP))
      throw new UpdateError('server-no-ranges', `${name}: the whole file came instead of its end from byte ${offset}.`);
  };
  for await (const chunk of exchange(client, options, url, { headers }, patience, request.signal, judge)) {
    await options.rateLimit?.take(chunk.length, request.signal);
    const wanted = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - wanted.length;
    if (wanted.length > left && !isMore) throw tooMuch(name, end);
    const part = wanted.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
    // The rest of the file is of no use, and of a body without a length nobody knows whether there is a rest.
    if (left === 0 && (isMore || isOpenEnded)) return;
  }
  if (left > 0) throw new UpdateError('connection-lost', `${name} ended ${left} bytes early.`);
}

/** One request: judges the head, then yields the body under the watch of `patience`; leaving early closes the socket. */
async function* exchange(
  client: Got,
  options: HttpOptions,
  url: string,
  message: Message,
  patience: Omit<Patience, 'headMs'>,
  signal: AbortSignal,
  judge: (answer: Response) => void,
): AsyncGenerator<Uint8Array> {
  const name = redactUrl(url);
  checkUrl(url);
  signal.throwIfAborted();
  const { clock } = options;
  options.counted?.({ requests: 1, bytes: 0 });
  const stream = client.stream(url, message);
  const ending: { error?: unknown } = {};
  const end = (error: unknown): void => {
    ending.error ??= error;
    stream.destroy();
  };
  const abort = (): void => end(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  using watch = watchOver(clock, { ...patience, headMs: options.connectTimeoutMs + options.idleTimeoutMs }, name, end);
  try {
    const answer = await headOf(stream);
    judge(answer);
    watch.waiting();
    for await (const chunk of stream) {
      options.counted?.({ requests: 0, bytes: chunk.length });
      watch.received(chunk.length);
      yield chunk;
      watch.waiting();
    }
  } catch (error) {
    throw ending.error ?? connectionFailure(error, name, clock.now());
  } finally {
    signal.removeEventListener('abort', abort);
    stream.destroy();
  }
}

const headOf = (stream: Request): Promise<Response> =>
  new Promise((resolve, reject) => {
    stream.once('response', resolve);
    stream.once('error', reject);
    stream.once('close', () => reject(new UpdateError('connection-lost')));
  });

function checkUrl(url: string): void {
  const protocol = URL.parse(url)?.protocol;
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new UpdateError('url-invalid', `${redactUrl(url)} is not an http or https address.`);
}

const tooMuch = (name: string, limit: number): UpdateError =>
  new UpdateError('server-too-much', `${name} is longer than ${limit} bytes.`);
