/** FleetLock, the protocol of Zincati and airlock: two idempotent requests. */

import { cleanLine } from '../../../clean-text.ts';
import { UpdateError } from '../../../errors.ts';
import { object, optional, parseDocument, words } from '../../../formats/shape.ts';
import type { Http } from '../../../system/http/http.ts';
import type { Random } from '../../../system/random.ts';
import type { LockClient, Objection } from './lock-client.ts';
import { oneLine } from './semaphore-document.ts';

export type FleetLockOptions = Readonly<{
  http: Pick<Http, 'post'>;
  /** The server's URL, to which `/v1/…` is appended. */
  url: string;
  login?: Readonly<{ user: string; password: string }>;
  /** Additional headers that identify the host. */
  headers?(): Promise<Readonly<Record<string, string>>>;
  id: string;
  group: string;
  timeoutMs: number;
  /** The longest polling interval; the protocol has no queue. */
  askMs: number;
  random: Random;
  signal: AbortSignal;
}>;

/** The client of a FleetLock server. */
export function fleetLock(options: FleetLockOptions): LockClient {
  return {
    countsFailures: false,
    take: async () => {
      const refusal = await ask(options, 'pre-reboot');
      if (!refusal) return { ok: true };
      const { code, reason } = refusal;
      return { ok: false, code, reason, askAgainMs: pauseOf(options, code) };
    },
    begin: async () => {
      // A holder's repeated request is granted, so any other answer means that the lock was lost.
      const refusal = await ask(options, 'pre-reboot');
      if (refusal)
        throw new UpdateError('lock-lost', `The FleetLock server no longer grants the lock: ${refusal.reason}.`);
    },
    giveBack: async () => {
      const refusal = await ask(options, 'steady-state');
      // Some servers refuse because another host holds it, so this host does not.
      if (!refusal || refusal.code === 'lock-full') return;
      const code = refusal.code === 'lock-contended' ? refusal.code : 'lock-refused';
      throw new UpdateError(code, `The FleetLock server refuses to release the lock: ${refusal.reason}.`);
    },
  };
}

type Refusal = Readonly<{ code: Objection; reason: string }>;

/** Undefined if the server agrees, otherwise its refusal. Throws if it could not decide. */
async function ask(options: FleetLockOptions, verb: 'pre-reboot' | 'steady-state'): Promise<Refusal | undefined> {
  const { http, url, login, headers, id, group, timeoutMs, signal } = options;
  const { status, body, retryAfterMs } = await http.post(`${url.replace(/\/+$/, '')}/v1/${verb}`, {
    body: JSON.stringify({ client_params: { id, group } }),
    headers: {
      ...(await headers?.()),
      'fleet-lock-protocol': 'true',
      ...(login ? { authorization: basic(login) } : {}),
    },
    maxBytes: MOST_BYTES,
    totalTimeoutMs: timeoutMs,
    signal,
  });
  if (status === 200) return undefined;
  const { kind, value } = saidIn(body);
  const code = objectionOf(kind, value);
  const reason = reasonIn(kind, value) ?? `it answered ${status} without a reason`;
  if (code) return { code, reason };
  if (status !== 429 && status < 500) return { code: 'lock-refused', reason };
  throw new UpdateError(status === 429 ? 'server-busy' : 'server-failed', `${new URL(url).host}: ${reason}.`, {
    details: retryAfterMs === undefined ? {} : { retryAfterMs },
  });
}

const MOST_BYTES = 64 * 1024;

const basic = ({ user, password }: Readonly<{ user: string; password: string }>): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

const ANSWER = object({ kind: words(), value: optional(words()) }, 'ignore');

type Said = Readonly<{ kind?: string; value?: string }>;

/** Early versions of airlock answer with a plain line of text. */
function saidIn(body: Uint8Array): Said {
  try {
    return parseDocument(body, MOST_BYTES, 'lock-refused', 'the answer', ANSWER);
  } catch {
    const line = cleanLine(new TextDecoder().decode(body.subarray(0, 1000)));
    return /^[^<{[]/.test(line) ? { value: line } : {};
  }
}

function reasonIn(kind: string | undefined, value: string | undefined): string | undefined {
  if (kind === undefined) return value;
  return oneLine(value ? `${value} (${kind})` : kind);
}

/** The `kind` values of known servers. An unknown one may need an operator. */
function objectionOf(kind = '', value = ''): Objection | undefined {
  const known = KINDS.get(kind);
  if (known) return known;
  if (kind !== '' && kind !== 'failed_lock') return undefined;
  return TEXTS.find(({ text }) => text.test(value))?.code;
}

const KINDS: ReadonlyMap<string, Objection> = new Map([
  // airlock, and our own server
  ['failed_lock_semaphore_full', 'lock-full'],
  ['failed_lock_turn', 'lock-turn'],
  ['failed_lock_failures', 'lock-failures'],
  // poseidon/fleetlock, and an older version of it
  ['lock_held', 'lock-full'],
  ['locked', 'lock-full'],
]);

/** airlock uses `failed_lock` for every failure of a request; only its text distinguishes them. */
const TEXTS: readonly Readonly<{ text: RegExp; code: Objection }>[] = [
  { text: /\bslots\b.*\blocked\b/, code: 'lock-full' },
  { text: /\bconflict on semaphore\b/, code: 'lock-contended' },
];

/** Full jitter around the interval, so that a fleet started together does not ask together. */
function pauseOf({ askMs, random }: FleetLockOptions, code: Objection): number {
  const rhythm = code === 'lock-contended' ? askMs / 10 : askMs;
  return Math.ceil(rhythm * (0.5 + random.fraction()));
}
