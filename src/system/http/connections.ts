/** The connections of an HTTP client: creation, and lifetime when idle. */

import http from 'node:http';
import https from 'node:https';
import { type Socket, setDefaultAutoSelectFamilyAttemptTimeout } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { dial, type Lookup } from './dial.ts';
import { trustSystem } from './trust-store.ts';

export type ConnectionOptions = Readonly<{
  proxy?: string | undefined;
  connectTimeoutMs: number;
  lookup?: Lookup | undefined;
}>;

/** Agents for `got`, which provide a connection for each request. */
export function createAgents(options: ConnectionOptions): Readonly<{ http: http.Agent; https: https.Agent }> {
  const { proxy, connectTimeoutMs } = options;
  if (proxy === undefined) return { http: new PlainAgent(options), https: new SecureAgent(options) };
  // Node.js makes proxy connections in its own way; only its timeouts can be set.
  setDefaultAutoSelectFamilyAttemptTimeout(Math.max(10, Math.round(connectTimeoutMs / 4)));
  const proxied = { keepAlive: true, proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } };
  return { http: shortLived(new http.Agent(proxied)), https: shortLived(new ProxiedAgent(proxied)) };
}

type Callback = (error: Error | null, stream: Duplex) => void;

class PlainAgent extends http.Agent {
  readonly #options: ConnectionOptions;

  constructor(options: ConnectionOptions) {
    super({ keepAlive: true });
    this.#options = options;
    shortLived(this);
  }

  override createConnection(to: http.ClientRequestArgs, callback?: Callback): undefined {
    connection(to, this.#options).then((socket) => callback?.(null, socket), failing(callback));
  }
}

class SecureAgent extends https.Agent {
  readonly #options: ConnectionOptions;
  readonly #trust = systemTrust();

  constructor(options: ConnectionOptions) {
    super({ keepAlive: true });
    this.#options = options;
    shortLived(this);
  }

  override createConnection(to: https.RequestOptions, callback?: Callback): undefined {
    this.#trust(to);
    const secured = async (socket: Socket): Promise<TLSSocket> => {
      const through: https.RequestOptions & { socket: Socket } = { ...to, socket };
      try {
        return await shaken(super.createConnection(through) as TLSSocket, this.#options.connectTimeoutMs);
      } catch (error) {
        // If TLS cannot be set up, for example with an unusable client certificate, nobody else owns the socket yet.
        socket.destroy();
        throw error;
      }
    };
    connection(to, this.#options)
      .then(secured)
      .then((socket) => callback?.(null, socket), failing(callback));
  }
}

class ProxiedAgent extends https.Agent {
  readonly #trust = systemTrust();

  override createConnection(to: https.RequestOptions, callback?: Callback): Duplex | null | undefined {
    this.#trust(to);
    return super.createConnection(to, callback);
  }
}

/** Before the first connection that uses the system's authorities. */
function systemTrust(): (to: https.RequestOptions) => void {
  let isDone = false;
  return ({ ca }) => {
    if (isDone || ca !== undefined) return;
    trustSystem();
    isDone = true;
  };
}

const connection = ({ host, port }: http.ClientRequestArgs, options: ConnectionOptions): Promise<Socket> =>
  dial(host ?? '', Number(port), { timeoutMs: options.connectTimeoutMs, lookup: options.lookup });

// On an error there is no stream, contrary to the types.
const failing =
  (callback?: Callback) =>
  (error: Error): void =>
    callback?.(error, undefined as never);

/** When both sides have agreed on keys, and the server is authenticated. */
function shaken(socket: TLSSocket, timeoutMs: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => socket.destroy(tooLate(timeoutMs)), timeoutMs).unref();
    socket.once('error', reject);
    socket.once('close', () => clearTimeout(late));
    socket.once('secureConnect', () => {
      clearTimeout(late);
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

const tooLate = (ms: number): Error => Object.assign(new Error(`no TLS handshake in ${ms} ms`), { code: 'ETIMEDOUT' });

/** Idle connections are kept only within a check: between checks, NAT and firewalls drop them silently. */
function shortLived<T extends http.Agent>(agent: T): T {
  const ends = new WeakMap<Duplex, NodeJS.Timeout>();
  const keepSocketAlive = agent.keepSocketAlive.bind(agent);
  const reuseSocket = agent.reuseSocket.bind(agent);
  agent.keepSocketAlive = (socket) => {
    ends.set(socket, setTimeout(() => socket.destroy(), IDLE_MS).unref());
    return keepSocketAlive(socket);
  };
  agent.reuseSocket = (socket, request) => {
    clearTimeout(ends.get(socket));
    reuseSocket(socket, request);
  };
  return agent;
}

const IDLE_MS = 5_000;
