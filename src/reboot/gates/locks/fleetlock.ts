/** FleetLock, the protocol of Zincati and airlock: two requests, both of which may be repeated. */

import { UpdateError } from '../../../errors.ts';
import type { Http } from '../../../system/http.ts';
import type { Random } from '../../../system/random.ts';
import { object, optional, parseDocument, words } from '../../../system/shape.ts';
import type { LockClient } from './lock-client.ts';
import { oneLine } from './semaphore-document.ts';

export type FleetLockOptions = Readonly<{
  http: Pick<Http, 'post'>;
  /** The server; `/v1/…` is added to its path. */
  url: string;
  login?: Readonly<{ user: string; password: string }>;
  id: string;
  group: string;
  timeoutMs: number;
  /** The longest pause until the server is asked again: the protocol knows no queue. */
  askMs: number;
  random: Random;
  signal: AbortSignal;
}>;

/** This host's part in the lock of a FleetLock server. */
export function fleetLock(options: FleetLockOptions): LockClient {
  return {
    take: async () => {
      const refusal = await ask(options, 'pre-reboot');
      if (!refusal) return { held: true };
      const { reason, retryAfterMs = 0 } = refusal;
      return { held: false, code: 'lock-refused', reason, askAgainMs: retryAfterMs + pauseOf(options) };
    },
    begin: async () => {
      // Asking again for what one holds is granted: anything else means that it was lost.
      const refusal = await ask(options, 'pre-reboot');
      if (refusal)
        throw new UpdateError('lock-lost', `The FleetLock server does not grant the lock any more: ${refusal.reason}.`);
    },
    giveBack: async () => {
      const refusal = await ask(options, 'steady-state');
      if (refusal)
        throw new UpdateError('lock-refused', `The FleetLock server does not take the lock back: ${refusal.reason}.`);
    },
  };
}

type Refusal = Readonly<{ reason: string; retryAfterMs?: number }>;

/** Undefined when the server agrees, else its reason, and how long it wants to be left alone. */
async function ask(options: FleetLockOptions, verb: 'pre-reboot' | 'steady-state'): Promise<Refusal | undefined> {
  const { http, url, login, id, group, timeoutMs, signal } = options;
  const { status, body, retryAfterMs } = await http.post(`${url.replace(/\/+$/, '')}/v1/${verb}`, {
    body: JSON.stringify({ client_params: { id, group } }),
    headers: { 'fleet-lock-protocol': 'true', ...(login ? { authorization: basic(login) } : {}) },
    maxBytes: MOST_BYTES,
    totalTimeoutMs: timeoutMs,
    signal,
  });
  if (status === 200) return undefined;
  if (status >= 500 && !isJson(body))
    throw new UpdateError('server-failed', `${new URL(url).host}: the server answers ${status}.`);
  return { reason: reasonOf(status, body), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

const MOST_BYTES = 64 * 1024;

const basic = ({ user, password }: Readonly<{ user: string; password: string }>): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

const ANSWER = object({ kind: words(), value: optional(words()) }, 'ignore');

function reasonOf(status: number, body: Uint8Array): string {
  try {
    const { kind, value } = parseDocument(body, MOST_BYTES, 'lock-refused', 'the answer', ANSWER);
    return oneLine(value ? `${value} (${kind})` : kind);
  } catch {
    return `it answers ${status} and does not say why`;
  }
}

function isJson(body: Uint8Array): boolean {
  return /^\s*\{/.test(new TextDecoder().decode(body.subarray(0, 100)));
}

/** Full jitter around the rhythm: a fleet that was started together does not ask together. */
const pauseOf = ({ askMs, random }: FleetLockOptions): number => Math.ceil(askMs * (0.5 + random.fraction()));
