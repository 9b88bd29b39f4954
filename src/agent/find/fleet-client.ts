/** Asks the fleet server whether this host may begin what its channel offers, and tells it how the last attempt ended. */

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
  token?: string;
  /** Who asks. */
  host: Readonly<{ group: string; product: Product; channel: string; agent: string }>;
  machine(): Promise<MachineId>;
  /** The headers by which the server knows this host. */
  identity(): Promise<Readonly<Record<string, string>>>;
  /** Where it can be found, and which machine it is. */
  facts(): Promise<Pick<CheckIn, 'host' | 'boot'>>;
  /** Whether the host would begin what it is offered: a place that it is given and does not take would be lost to others. */
  stance(offered: OnOffer, running: Release, state: State): Promise<Pick<CheckIn, 'wants' | 'refuses'>>;
  /** Forgets that a release is refused, since an operator of the fleet asks for it; false where that was done often enough. */
  forgive(release: Release): Promise<boolean>;
  /** What the host is doing, and how its last attempt ended. */
  situation(): Promise<Readonly<{ saved: Saved; confirmed: boolean; last: EndedEntry | undefined }>>;
}>;

/**
 * The same releases, but what the channel offers is only begun when the server agrees. What an operator names by hand is not asked for. A server
 * that does not answer is a failed check: nobody else knows how many are under way.
 */
export function withFleetServer(releases: Releases, server: FleetServer): Releases {
  return {
    ...releases,
    find: async (asked, running, now, signal) => {
      const offered = await releases.find(asked, running, now, signal);
      if (asked.version !== undefined || asked.from !== undefined) return offered;
      if ('hold' in offered || asked.stays) {
        const answer = await consult(server, running, undefined, signal);
        // That two hosts have one id is said in every case: nothing here is what it seems.
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
  const { status, body, retryAfterMs } = await http.post(`${url.replace(/\/+$/, '')}/v1/check-in`, {
    body: JSON.stringify(request),
    headers: { ...(await identity()), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    maxBytes: MOST_BYTES,
    totalTimeoutMs: TIMEOUT_MS,
    signal,
  });
  const place = new URL(url).host;
  const named = status === 403 ? namedIn(body) : undefined;
  if (named) throw new UpdateError(named);
  if (status === 401 || status === 403)
    throw new UpdateError('server-denied', `The fleet server ${place} does not accept this host's token.`);
  if (status === 429 || status === 503) throw busy(place, status, retryAfterMs);
  if (status !== 200) throw new UpdateError('server-failed', `The fleet server ${place} answers ${status}.`);
  return parseDocument(body, MOST_BYTES, 'server-protocol', `The answer of ${place}`, CHECK_IN_ANSWER);
}

/** Why the server does not take this host for who it says it is; undefined for any other refusal. */
function namedIn(body: Uint8Array): 'machine-secret-wrong' | 'machine-secret-missing' | undefined {
  try {
    const { code } = parseDocument(body, MOST_BYTES, 'server-protocol', 'the answer', object({ code: line }, 'ignore'));
    return code === 'machine-secret-wrong' || code === 'machine-secret-missing' ? code : undefined;
  } catch {
    return undefined;
  }
}

/** The next check comes no earlier than the server asks for. */
function busy(place: string, status: number, retryAfterMs: number | undefined): UpdateError {
  const when = retryAfterMs === undefined ? '' : ` and asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
  return new UpdateError('server-busy', `The fleet server ${place} answers ${status}${when}.`, {
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
