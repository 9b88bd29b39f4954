/** Asks the fleet server whether this host may begin its channel's offer, and reports the result of the last attempt. */

import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';
import { CHECK_IN_ANSWER, type CheckIn, type CheckInAnswer } from '../../formats/check-in.ts';
import { object, parseDocument, words } from '../../formats/shape.ts';
import type { MachineId, Product, Release, Saved, State } from '../../model.ts';
import type { Http } from '../../system/http/http.ts';
import type { EndedEntry } from '../loop/journal.ts';
import type { Hold, OnOffer, Releases } from './releases.ts';

export type FleetServer = Readonly<{
  http: Pick<Http, 'post'>;
  url: string;
  /** Undefined while the host has none. */
  token(): Promise<string | undefined>;
  /** The host that asks. */
  host: Readonly<{ group: string; product: Product; channel: string; agent: string }>;
  machine(): Promise<MachineId>;
  /** The headers that identify this host to the server. */
  identity(): Promise<Readonly<Record<string, string>>>;
  /** Its address and its hardware. */
  facts(): Promise<Pick<CheckIn, 'host' | 'boot'>>;
  /** Whether the host would begin the offer: an unused place in the rollout would be lost to others. */
  stance(offered: OnOffer, running: Release, state: State): Promise<Pick<CheckIn, 'wants' | 'refuses'>>;
  /** Lifts the refusal of a release, since an operator of the fleet asks for it; false once that has happened often enough. */
  forgive(release: Release): Promise<boolean>;
  /** The host's current state, and the result of its last attempt. */
  situation(): Promise<Readonly<{ saved: Saved; confirmed: boolean; last: EndedEntry | undefined }>>;
}>;

/**
 * The same releases, but the channel's offer begins only when the server agrees. A release that an operator names needs no agreement. A server
 * that does not answer is a failed check: only the server knows how many hosts are under way.
 */
export function withFleetServer(releases: Releases, server: FleetServer): Releases {
  return {
    ...releases,
    find: async (asked, running, now, signal) => {
      const offered = await releases.find(asked, running, now, signal);
      if (asked.version !== undefined || asked.from !== undefined) return offered;
      if ('hold' in offered || asked.stays) {
        const answer = await consult(server, running, undefined, signal);
        // Two hosts with one id are always reported: their records cannot be trusted.
        const isTwin = !answer.go && answer.code === 'machine-cloned';
        return isTwin ? { hold: holdOf(answer, running) } : offered;
      }
      const { release } = offered.trusted;
      const answer = await consult(server, running, offered, signal);
      const isHeeded = answer.go && answer.readmitted === true && (await server.forgive(release));
      const last = isHeeded ? await consult(server, running, offered, signal) : answer;
      return last.go ? offered : { hold: holdOf(last, release) };
    },
  };
}

const consult = async (
  server: FleetServer,
  running: Release,
  offered: OnOffer | undefined,
  signal: AbortSignal,
): Promise<CheckInAnswer> => ask(server, await checkInOf(server, running, offered), signal);

async function checkInOf(server: FleetServer, running: Release, offered: OnOffer | undefined): Promise<CheckIn> {
  const { saved, confirmed, last } = await server.situation();
  const { version, counter } = running;
  return {
    schema: 1,
    machine: await server.machine(),
    ...server.host,
    ...(await server.facts()),
    running: { version, ...(counter === undefined ? {} : { counter }) },
    confirmed,
    state: saved.state.kind,
    since: saved.since,
    ...(offered ? await server.stance(offered, running, saved.state) : {}),
    ...(last ? { outcome: outcomeOf(last) } : {}),
  };
}

function outcomeOf({ at, result, version, code, reason, fault }: EndedEntry): NonNullable<CheckIn['outcome']> {
  const said = reason === undefined ? {} : { reason: cleanLine(reason, LONGEST) };
  return { at, result, version, ...(code === undefined ? {} : { code }), ...said, ...(fault ? { fault } : {}) };
}

async function ask(
  { http, url, token, identity }: FleetServer,
  request: CheckIn,
  signal: AbortSignal,
): Promise<CheckInAnswer> {
  const shown = await token();
  const { status, body, retryAfterMs } = await http.post(`${url.replace(/\/+$/, '')}/v1/check-in`, {
    body: JSON.stringify(request),
    headers: { ...(await identity()), ...(shown === undefined ? {} : { authorization: `Bearer ${shown}` }) },
    maxBytes: MOST_BYTES,
    totalTimeoutMs: TIMEOUT_MS,
    signal,
  });
  const place = new URL(url).host;
  const named = status === 403 ? namedIn(body) : undefined;
  if (named) throw new UpdateError(named);
  if (status === 401 || status === 403)
    throw new UpdateError(
      'server-denied',
      shown === undefined
        ? `The fleet server ${place} requires a token, and this host has none.`
        : `The fleet server ${place} does not accept this host's token.`,
    );
  if (status === 429 || status === 503) throw busy(place, status, retryAfterMs);
  if (status !== 200) throw new UpdateError('server-failed', `The fleet server ${place} answered ${status}.`);
  return parseDocument(body, MOST_BYTES, 'server-protocol', `The answer of ${place}`, CHECK_IN_ANSWER);
}

/** Why the server does not believe this host's identity; undefined for any other refusal. */
function namedIn(body: Uint8Array): 'machine-secret-wrong' | 'machine-secret-missing' | undefined {
  try {
    const { code } = parseDocument(body, MOST_BYTES, 'server-protocol', 'the answer', object({ code: line }, 'ignore'));
    return code === 'machine-secret-wrong' || code === 'machine-secret-missing' ? code : undefined;
  } catch {
    return undefined;
  }
}

/** The next check waits at least as long as the server asks for. */
function busy(place: string, status: number, retryAfterMs: number | undefined): UpdateError {
  const when = retryAfterMs === undefined ? '' : ` and asked to wait ${Math.ceil(retryAfterMs / 1000)} s`;
  return new UpdateError('server-busy', `The fleet server ${place} answered ${status}${when}.`, {
    details: { status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  });
}

const line = words(500);

const holdOf = (answer: Extract<CheckInAnswer, { go: false }>, { version, counter = 0 }: Release): Hold => ({
  result: 'hold',
  code: answer.code,
  reason: `the fleet server says: ${answer.reason}`,
  step: { version, counter },
  ...(answer.until === undefined ? {} : { until: Date.parse(answer.until) }),
});

const LONGEST = 400;
const MOST_BYTES = 16 * 1024;
const TIMEOUT_MS = 30_000;
