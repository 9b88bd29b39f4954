/** Connects to the first responding address of a host. Node.js aborts an attempt when it starts the next, so that on slow links none succeeds. */

import { lookup as lookUp } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Address = Readonly<{ address: string; family: number }>;

/** The addresses of a host, best first. */
export type Lookup = (host: string) => Promise<readonly Address[]>;

export type DialOptions = Readonly<{
  /** The time limit for resolving a name and connecting to one of its addresses. */
  timeoutMs: number;
  lookup?: Lookup | undefined;
}>;

/** Returns an open connection. A silent address is not given up; after a moment the next one is tried in parallel (RFC 8305). */
export async function dial(host: string, port: number, options: DialOptions): Promise<Socket> {
  const { timeoutMs, lookup = systemLookup } = options;
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(tooLate(host, timeoutMs)), timeoutMs).unref();
  try {
    const addresses = await orAborted(lookup(host), stop.signal);
    return await first(alternating(addresses), port, stop.signal);
  } catch (error) {
    throw error instanceof AggregateError ? summary(error.errors, host) : error;
  } finally {
    clearTimeout(late);
    stop.abort();
  }
}

/** How long an address may be silent before the next one is tried too. */
const STAGGER_MS = 250;
/** The most addresses used; a name with more leads to the same few machines. */
const MOST_ADDRESSES = 8;

const systemLookup: Lookup = (host) => lookUp(host, { all: true });

/** Alternates between address families, so that a broken one costs one step (RFC 8305, section 4). */
function alternating(addresses: readonly Address[]): readonly Address[] {
  const [best] = addresses;
  const same = addresses.filter(({ family }) => family === best?.family);
  const other = addresses.filter(({ family }) => family !== best?.family);
  return same
    .flatMap((one, index) => [one, ...other.slice(index, index + 1)])
    .concat(other.slice(same.length))
    .slice(0, MOST_ADDRESSES);
}

function first(addresses: readonly Address[], port: number, stop: AbortSignal): Promise<Socket> {
  let turn: Promise<unknown> = Promise.resolve();
  const attempts = addresses.map((address) => {
    const attempt = turn.then(() => reach(address, port, stop));
    const failed = new Promise((resolve) => attempt.catch(resolve));
    turn = turn.then(() => Promise.race([failed, sleep(STAGGER_MS, undefined, { ref: false })]));
    return attempt;
  });
  return Promise.any(attempts);
}

function reach({ address, family }: Address, port: number, stop: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) return reject(stop.reason);
    const socket = connect({
      host: address,
      port,
      family,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 1000,
    }).unref();
    const giveUp = (): void => void socket.destroy(stop.reason);
    stop.addEventListener('abort', giveUp, { once: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      stop.removeEventListener('abort', giveUp);
      socket.off('error', reject);
      resolve(socket.ref());
    });
  });
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}

const tooLate = (host: string, ms: number): Error =>
  Object.assign(new Error(`${host} could not be connected to in ${ms} ms`), { code: 'ETIMEDOUT' });

/** One error for all attempts, with the code of the first. */
function summary(errors: readonly NodeJS.ErrnoException[], host: string): Error {
  const messages = new Set(errors.map(({ message }) => message));
  const text = errors.length === 0 ? `${host} has no address` : [...messages].join('; ');
  return Object.assign(new Error(text), { code: errors[0]?.code ?? 'ENOTFOUND' });
}
