/** One HTTP exchange: no redirects, no decompression, and time limits for every wait. The only importer of got. */

import got, { type Got, type Request, type Response } from 'got';
import { UpdateError } from '../../errors.ts';
import type { Clock } from '../clock.ts';
import type { AnswerHead } from './answer.ts';
import { createAgents } from './connections.ts';
import type { Lookup } from './dial.ts';
import { connectionFailure } from './failure.ts';
import { type Patience, watchOver } from './patience.ts';
import type { RateLimit } from './rate-limit.ts';
import { redactUrl } from './shown-address.ts';
import { namesAuthorities } from './trust-store.ts';

export type HttpOptions = Readonly<{
  /** `http://[user:password@]host:port`; the environment is ignored. */
  proxy?: string;
  /** PEM certificates to trust instead of the system's. */
  ca?: Uint8Array;
  /** The client certificate, in PEM. */
  identity?: Readonly<{ certificate: Uint8Array; key: Uint8Array }>;
  connectTimeoutMs: number;
  /** Name resolution, if not the system's. */
  lookup?: Lookup;
  /** The longest silence, before the answer and within it. */
  idleTimeoutMs: number;
  /** The minimum rate of a large file, averaged over the window, without the reader's own time. */
  minimumRate?: Readonly<{ bytesPerSecond: number; windowMs: number }>;
  /** The most bytes discarded when a server sends a whole file instead of its end. */
  maxSkipBytes?: number;
  userAgent: string;
  clock: Clock;
  /** The bandwidth limit for large files. */
  rateLimit?: RateLimit;
  /** Notified of every request, and of all bytes received. */
  counted?(more: Readonly<{ requests: number; bytes: number }>): void;
}>;

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** A request's headers and body. */
export type Message = Readonly<{ method?: Method; body?: string; headers?: Readonly<Record<string, string>> }>;

/** Makes one request: checks the head, then yields the body within the time limits of `patience`; stopping early closes the socket. */
export type Exchange = (
  url: string,
  message: Message,
  patience: Omit<Patience, 'headMs'>,
  signal: AbortSignal,
  judge: (answer: AnswerHead) => void,
) => AsyncGenerator<Uint8Array>;

/** Exchanges whose settings come only from the configuration. */
export function createExchange(options: HttpOptions): Exchange {
  const client = configured(options);
  return (...request) => exchange(client, options, ...request);
}

/** The minimum rate of a file. */
export const patienceFor = ({ idleTimeoutMs, minimumRate = DEFAULT_RATE }: HttpOptions): Omit<Patience, 'headMs'> => ({
  idleMs: idleTimeoutMs,
  rate: minimumRate,
});

const DEFAULT_RATE = { bytesPerSecond: 1024, windowMs: 60_000 };

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

async function* exchange(
  client: Got,
  options: HttpOptions,
  ...[url, message, patience, signal, judge]: Parameters<Exchange>
): AsyncGenerator<Uint8Array> {
  const name = redactUrl(url);
  checkUrl(url, options);
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

function checkUrl(url: string, { ca }: HttpOptions): void {
  const protocol = URL.parse(url)?.protocol;
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new UpdateError('url-invalid', `${redactUrl(url)} is not an http or https address.`);
  if (protocol === 'https:' && ca !== undefined && !namesAuthorities(ca))
    throw new UpdateError('tls-invalid', 'The file of trusted authorities contains no PEM certificate.');
}
