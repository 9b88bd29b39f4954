/** Talks to etcd through its v3 JSON gateway: transactions and leases, several endpoints, every read linearizable. */

import { UpdateError } from '../../errors.ts';
import type { Http } from '../http/http.ts';
import {
  type Answer,
  type EtcdSize,
  encoded,
  leaseIdOf,
  messageOf,
  requestOf,
  sizeOf,
  type Transaction,
  timeToLiveOf,
  txnAnswerOf,
  watchRequestOf,
} from './messages.ts';
import { EtcdRefusal, refusalOf } from './refusal.ts';
import { type Heard, listen } from './watch.ts';

export type { EtcdSize } from './messages.ts';

export interface Etcd {
  txn(txn: Transaction): Promise<Answer>;
  /** A lease that ends about so many seconds after it was last kept alive: later when the leader changes. */
  grantLease(seconds: number): Promise<string>;
  /** False: the lease is gone. */
  keepAlive(lease: string): Promise<boolean>;
  revokeLease(lease: string): Promise<void>;
  /** Waits until a key with the prefix, which ends in a slash, is written or deleted after that revision, or the signal is aborted. */
  watch(prefix: string, revision: string, signal: AbortSignal): Promise<Heard>;
  /** What is wrong with each endpoint; undefined when it is well. */
  ailments(): Promise<readonly (string | undefined)[]>;
}

/** What keeps etcd itself from filling up. */
export interface EtcdCare {
  /** Throws the history before a revision away; it may be gone already. */
  compact(revision: string): Promise<void>;
  /** Whether etcd still tells what was under this key at a revision. */
  remembers(key: string, revision: string): Promise<boolean>;
  /** Of every endpoint that answers. */
  sizes(): Promise<readonly EtcdSize[]>;
}

export type EtcdOptions = Readonly<{
  http: Pick<Http, 'post' | 'postStream'>;
  endpoints: readonly string[];
  login?: Readonly<{ user: string; password: string }>;
  /** How long one endpoint may take for one request. */
  timeoutMs: number;
  /** From 0 up to, not including, 1: which endpoint to begin with, so that a fleet spreads over them. */
  start: number;
  signal: AbortSignal;
}>;

/** A client of the cluster with these endpoints; it keeps to the one that answered last. */
export function createEtcd(options: EtcdOptions): Etcd & EtcdCare {
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
      // A token lives for minutes, and only as long as the member that gave it.
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

  /** The quota is told to Prometheus alone, before etcd 3.6. */
  const figuresOf = async (endpoint: string): Promise<string> => {
    const { status, body } = await options.http.post(new URL('/metrics', endpoint).href, {
      method: 'GET',
      maxBytes: MOST_BYTES,
      totalTimeoutMs: options.timeoutMs,
      signal: options.signal,
    });
    return status === 200 ? new TextDecoder().decode(body) : '';
  };

  return {
    txn: async (txn) => txnAnswerOf(await askAny('kv/txn', requestOf(txn))),
    grantLease: async (seconds) => leaseIdOf(await askAny('lease/grant', { TTL: String(seconds) })),
    keepAlive: async (lease) => timeToLiveOf(await askAny('lease/keepalive', { ID: lease })) > 0,
    revokeLease: async (lease) => {
      await askAny('lease/revoke', { ID: lease }).catch(unlessNotFound);
    },
    watch: (prefix, revision, signal) =>
      listen(
        options.http.postStream(new URL('/v3/watch', endpoints[preferred]).href, {
          body: JSON.stringify(watchRequestOf(prefix, revision)),
          // A member that is cut off ends the watch instead of being silent.
          headers: { 'grpc-metadata-hasleader': 'true', ...(token === undefined ? {} : { authorization: token }) },
          idleTimeoutMs: LONGEST_SILENCE_MS,
          signal: AbortSignal.any([options.signal, signal]),
        }),
      ),
    compact: async (revision) => {
      await askAny('kv/compaction', { revision, physical: true }).catch(unlessCompacted);
    },
    remembers: async (key, revision) =>
      (await askAny('kv/range', { key: encoded(key), revision, count_only: true }).catch(unlessCompacted)) !==
      undefined,
    sizes: async () => {
      const asked = endpoints.map(async (one) =>
        sizeOf(await askOne(one, 'maintenance/status', {}), await figuresOf(one).catch(() => '')),
      );
      const told = await Promise.allSettled(asked);
      return told.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    },
    ailments: () =>
      Promise.all(endpoints.map((one) => askOne(one, 'maintenance/status', {}).then(ailmentOf, passedOver))),
  };
}

/** Who watches looks by itself more often. */
const LONGEST_SILENCE_MS = 3_600_000;
/** Sixty-four documents of talkative machines and a large ledger, in base64. */
const MOST_BYTES = 8 * 1024 * 1024;

/** What to say of an endpoint that another one may make up for; throws what every endpoint would answer. */
function passedOver(error: unknown): string {
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

function unlessNotFound(error: unknown): undefined {
  if (error instanceof UpdateError && error.code === 'etcd-refused' && /lease not found/.test(error.message))
    return undefined;
  throw error;
}

function unlessCompacted(error: unknown): undefined {
  if (error instanceof UpdateError && error.code === 'etcd-refused' && /been compacted/.test(error.message))
    return undefined;
  throw error;
}

function tokenOf(answer: unknown): string | undefined {
  if (answer === undefined) return undefined;
  if (typeof answer === 'object' && answer !== null && 'token' in answer && typeof answer.token === 'string')
    return answer.token;
  throw new UpdateError('etcd-protocol', 'etcd gave no token for a login.');
}

function ailmentOf(answer: unknown): string | undefined {
  if (typeof answer !== 'object' || answer === null) return 'it answers nonsense';
  if ('errors' in answer) return String(answer.errors).trim().slice(0, 200);
  return 'leader' in answer && answer.leader !== '0' ? undefined : 'it has no leader';
}
