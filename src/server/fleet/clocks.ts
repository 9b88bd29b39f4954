/** The clocks of servers that share a store, compared: a server whose clock is wrong would take hosts for overdue that are not. */

import { cleanLine } from '../../clean-text.ts';
import { ERRORS } from '../../errors.ts';
import { gauge, type Metric } from '../../formats/metrics-text.ts';
import { integer, literal, object, record, text, words } from '../../formats/shape.ts';
import type { Log } from '../../system/log.ts';
import { UTC_MOMENT } from '../../utc.ts';
import type { Json, Key, Store } from '../store/store.ts';

export type Clocks = Readonly<{
  /** Shows this server's clock to the others, and looks at theirs. */
  look(): Promise<void>;
  /** Whether this server may take somebody for overdue; what was written while clocks differed is left alone for so long. */
  mayJudge(restMs: number): boolean;
  metrics(): readonly Metric[];
}>;

export type ClocksWorld = Readonly<{
  store: Pick<Store, 'update'>;
  /** Of this start of a server alone. */
  id: string;
  /** What operators call it. */
  name: string;
  now(): Date;
  /** Never jumps. */
  monotonicMs(): number;
  log: Log;
}>;

/** What is known of another server; `differsMs`, how far its clock is ahead at least (or behind, below zero), once that is known. */
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
    // One that was set since then has not been compared yet.
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

/** As Prometheus is told. */
export const clockMetrics = (differsMs: number, judges: boolean): readonly Metric[] => [
  gauge(
    'tandem_clock_difference_seconds',
    'How far the clock of another server of the store is ahead, the one that differs most.',
    differsMs / 1000,
  ),
  gauge(
    'tandem_server_judges',
    '0 while this server takes nobody for overdue, because clocks differ or were not compared yet.',
    judges ? 1 : 0,
  ),
];

const KEY: Key = { kind: 'clocks', id: 'servers' };
/** More than this is no matter of how long things take. */
const MOST_MS = 60_000;
/** A server that has not shown its clock for so long has ended. */
const GONE_MS = 60_000;
/** How often to look. */
export const LOOK_MS = 10_000;

const distanceOf = ({ differsMs = 0 }: Other): number => Math.abs(differsMs);

type Server = Readonly<{ name: string; at: string; beat: number }>;
type Moment = Readonly<{ wall: number; ms: number; before: number }>;

/**
 * What another server has written since we looked last is no older than that. What was there when we looked first may be of any age: only a time that
 * is yet to come says something.
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

/** What is not understood is written anew. */
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
