/** The members of an etcd cluster: sends requests to one or to any of them, and logs in if required. */

import { UpdateError } from '../../errors.ts';
import type { Http } from '../http/http.ts';
import { messageOf } from './messages.ts';
import { EtcdRefusal, refusalOf } from './refusal.ts';

export type EtcdOptions = Readonly<{
  http: Pick<Http, 'post' | 'postStream'>;
  endpoints: readonly string[];
  login?: Readonly<{ user: string; password: string }>;
  /** The time limit of a request to one endpoint. */
  timeoutMs: number;
  /** A number in [0, 1) that selects the first endpoint, so that a fleet spreads over them. */
  start: number;
  signal: AbortSignal;
}>;

export type Members = Readonly<{
  /** The answer of one endpoint. */
  askOne(endpoint: string, path: string, body: unknown): Promise<unknown>;
  /** The first answer, starting with the endpoint that answered last. */
  askAny(path: string, body: unknown): Promise<unknown>;
  /** An endpoint's Prometheus metrics; empty if unavailable. */
  figuresOf(endpoint: string): Promise<string>;
  /** A streamed answer, until the signal aborts. */
  stream(path: string, body: unknown, signal: AbortSignal): AsyncIterable<Uint8Array>;
}>;

export function createMembers(options: EtcdOptions): Members {
  const { endpoints } = options;
  let preferred = Math.floor(options.start * endpoints.length);
  let token: string | undefined;

  const ask = async (endpoint: string, path: string, body: unknown): Promise<unknown> => {
    const { status, body: answer } = await options.http.post(new URL(`/v3/${path}`, endpoint).href, {
      body: JSON.stringify(body),
      ...(token === undefined ? {} : { headers: { authorization: token } }),
      maxBytes: MOST_BYTES,
      totalTimeoutMs: options.timeoutMs,
      signal: options.signal,
    });
    if (status !== 200) throw refusalOf(status, answer);
    return messageOf(answer);
  };

  const logIn = async (endpoint: string): Promise<void> => {
    token = undefined;
    if (!options.login) return;
    const { user: name, password } = options.login;
    const answer = await ask(endpoint, 'auth/authenticate', { name, password }).catch(unlessAuthIsOff);
    token = tokenOf(answer);
  };

  const askOne = async (endpoint: string, path: string, body: unknown): Promise<unknown> => {
    if (options.login && token === undefined) await logIn(endpoint);
    try {
      return await ask(endpoint, path, body);
    } catch (error) {
      // A token lives for minutes, and not longer than the member that issued it.
      if (!(error instanceof EtcdRefusal && error.isStaleToken && options.login)) throw error;
      await logIn(endpoint);
      return await ask(endpoint, path, body);
    }
  };

  const askAny = async (path: string, body: unknown): Promise<unknown> => {
    const failures: string[] = [];
    for (let tries = 0; tries < endpoints.length; tries++) {
      const index = (preferred + tries) % endpoints.length;
      try {
        const answer = await askOne(endpoints[index] ?? '', path, body);
        preferred = index;
        return answer;
      } catch (error) {
        options.signal.throwIfAborted();
        failures.push(passedOver(error));
      }
    }
    throw new UpdateError('etcd-unavailable', `No endpoint of etcd answers: ${failures.join('; ')}.`);
  };

  return {
    askOne,
    askAny,
    figuresOf: (endpoint) => figuresOf(options, endpoint),
    stream: (path, body, signal) =>
      options.http.postStream(new URL(`/v3/${path}`, endpoints[preferred]).href, {
        body: JSON.stringify(body),
        // A partitioned member then ends the stream instead of going silent.
        headers: { 'grpc-metadata-hasleader': 'true', ...(token === undefined ? {} : { authorization: token }) },
        idleTimeoutMs: LONGEST_SILENCE_MS,
        signal: AbortSignal.any([options.signal, signal]),
      }),
  };
}

/** Watchers also poll more often than this. */
const LONGEST_SILENCE_MS = 3_600_000;
/** Sixty-four documents of verbose machines and a large ledger, in base64. */
const MOST_BYTES = 8 * 1024 * 1024;

/** Before etcd 3.6, only the Prometheus metrics contain the quota. */
async function figuresOf({ http, timeoutMs, signal }: EtcdOptions, endpoint: string): Promise<string> {
  const { status, body } = await http.post(new URL('/metrics', endpoint).href, {
    method: 'GET',
    maxBytes: MOST_BYTES,
    totalTimeoutMs: timeoutMs,
    signal,
  });
  return status === 200 ? new TextDecoder().decode(body) : '';
}

/** The fault of one endpoint, which another may not have; throws faults that every endpoint would have. */
export function passedOver(error: unknown): string {
  if (error instanceof EtcdRefusal) {
    if (error.isOfMember) return error.message;
    throw error.named();
  }
  if (error instanceof UpdateError) return error.message;
  throw error;
}

function unlessAuthIsOff(error: unknown): undefined {
  if (error instanceof EtcdRefusal && /authentication is not enabled/.test(error.message)) return undefined;
  throw error;
}

function tokenOf(answer: unknown): string | undefined {
  if (answer === undefined) return undefined;
  if (typeof answer === 'object' && answer !== null && 'token' in answer && typeof answer.token === 'string')
    return answer.token;
  throw new UpdateError('etcd-protocol', 'etcd gave no token for a login.');
}
