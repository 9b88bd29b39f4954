/** Compares the clocks of servers that share a store: a server with a wrong clock would treat hosts as overdue that are not. */

import { cleanLine } from '../../clean-text.ts';
import { ERRORS } from '../../errors.ts';
import { gauge, type Metric } from '../../formats/metrics-text.ts';
import { integer, literal, object, record, text, words } from '../../formats/shape.ts';
import type { Log } from '../../system/log.ts';
import { UTC_MOMENT } from '../../utc.ts';
import type { Json, Key, Store } from '../store/store.ts';

export type Clocks = Readonly<{
  /** Publishes this server's clock, and compares the others'. */
  look(): Promise<void>;
  /** Whether this server may treat hosts as overdue. After clocks differed, it may not for `restMs`. */
  mayJudge(restMs: number): boolean;
  metrics(): readonly Metric[];
}>;

export type ClocksWorld = Readonly<{
  store: Pick<Store, 'update'>;
  /** Identifies one start of a server. */
  id: string;
  /** Its name for operators. */
  name: string;
  now(): Date;
  /** Monotonic. */
  monotonicMs(): number;
  log: Log;
}>;

/** Another server. `differsMs`: by how much its clock is at least ahead (or behind, if negative), once known. */
type Other = { name: string; beat: number; changedAt: number; differsMs?: number };

export function createClocks({ store, id, name, now, monotonicMs, log }: ClocksWorld): Clocks {
  const others = new Map<string, Other>();
  let beat = 0;
  let looked: Readonly<{ ms: number; wall: number }> | undefined;
  let apartAt: number | undefined;
  let isApart = false;
  const farthest = (): Other | undefined =>
    [...others.values()].toSorted((one, other) => distanceOf(other) - distanceOf(one))[0];
  const mayJudge = (restMs: number): boolean =>
    looked !== undefined &&
    monotonicMs() - looked.ms < GONE_MS &&
    // A clock set since then has not been compared yet.
    Math.abs(now().getTime() - looked.wall - (monotonicMs() - looked.ms)) < MOST_MS &&
    [...others.values()].every(({ differsMs }) => differsMs !== undefined) &&
    !isApart &&
    (apartAt === undefined || monotonicMs() - apartAt >= restMs);
  return {
    mayJudge,
    look: async () => {
      const begun = monotonicMs();
      const wall = now().getTime();
      beat += 1;
      const gone = [...others].filter(([, { changedAt }]) => begun - changedAt > GONE_MS).map(([one]) => one);
      for (const one of gone) others.delete(one);
      const seen = await store.update([KEY], ([document]) => {
        const servers = serversIn(document);
        const left = new Map([...servers].filter(([one]) => one !== id && !gone.includes(one)));
        const mine = { name: cleanLine(name, 100), at: now().toISOString(), beat };
        return { write: [{ schema: 1, servers: { ...Object.fromEntries(left), [id]: mine } }], result: left };
      });
      const at = { wall: now().getTime(), ms: monotonicMs(), before: looked?.ms ?? begun };
      for (const [one, server] of seen) others.set(one, compared(others.get(one), server, at));
      for (const one of others.keys()) if (!seen.has(one)) others.delete(one);
      looked = { ms: begun, wall };
      const other = farthest();
      const wasApart = isApart;
      isApart = other !== undefined && distanceOf(other) > MOST_MS;
      if (isApart) apartAt = monotonicMs();
      if (isApart !== wasApart) tell(log, other, isApart);
    },
    metrics: () => clockMetrics(farthest()?.differsMs ?? 0, mayJudge(0)),
  };
}

/** As Prometheus metrics. */
export const clockMetrics = (differsMs: number, judges: boolean): readonly Metric[] => [
  gauge(
    'tandem_clock_difference_seconds',
    'How far the clock of another server of the store is ahead, for the one that differs most.',
    differsMs / 1000,
  ),
  gauge(
    'tandem_server_judges',
    '0 while this server treats no host as overdue, because clocks differ or have not been compared yet.',
    judges ? 1 : 0,
  ),
];

const KEY: Key = { kind: 'clocks', id: 'servers' };
/** A greater difference cannot be explained by latency. */
const MOST_MS = 60_000;
/** A server that has not shown its clock for this long has ended. */
const GONE_MS = 60_000;
/** The interval of comparisons. */
export const LOOK_MS = 10_000;

const distanceOf = ({ differsMs = 0 }: Other): number => Math.abs(differsMs);

type Server = Readonly<{ name: string; at: string; beat: number }>;
type Moment = Readonly<{ wall: number; ms: number; before: number }>;

/**
 * A document written by another server since our last look is no older than that look. At our first look its age is unknown, and only a
 * time in the future proves anything.
 */
function compared(known: Other | undefined, { name, at, beat }: Server, { wall, ms, before }: Moment): Other {
  const aheadMs = Date.parse(at) - wall;
  const age = known && known.beat !== beat ? ms - before : undefined;
  if (age === undefined && aheadMs <= MOST_MS) return known ?? { name, beat, changedAt: ms };
  const differsMs = aheadMs > 0 ? aheadMs : Math.min(0, aheadMs + (age ?? 0));
  const changedAt = known?.beat === beat ? known.changedAt : ms;
  return { name, beat, changedAt, differsMs };
}

function tell(log: Log, other: Other | undefined, isApart: boolean): void {
  const seconds = Math.round((other?.differsMs ?? 0) / 1000);
  const { sentence, next } = ERRORS['clocks-apart'];
  if (isApart) log.error({ code: 'clocks-apart', server: other?.name, seconds }, `${sentence} ${next}`);
  else log.info({ code: 'clocks-apart' }, 'the clocks of all servers agree again');
}

/** A damaged document is replaced. */
function serversIn(document: Json | undefined): ReadonlyMap<string, Server> {
  try {
    return document === undefined ? new Map() : SHAPE(document, 'the clocks').servers;
  } catch {
    return new Map();
  }
}

const MOST_SERVERS = 100;
const SHAPE = object(
  {
    schema: literal(1),
    servers: record(
      /^[0-9a-f]{32}$/,
      object({ name: words(100), at: text(UTC_MOMENT), beat: integer(0) }),
      MOST_SERVERS,
    ),
  },
  'ignore',
);
