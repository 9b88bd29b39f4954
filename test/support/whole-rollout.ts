/** A rollout from its first host to its last, minute by minute of a clock that nobody waits for, with a server that answers every check-in. */

import type { CheckIn, CheckInAnswer } from '../../src/formats/check-in.ts';
import type { Version } from '../../src/model.ts';
import type { Ledger } from '../../src/rollout/brake.ts';
import { checkInOf } from './check-in-line.ts';

/** Times in minutes. */
export type WholeFleet = Readonly<{
  hosts: number;
  /** Between two check-ins of a host. */
  poll: number;
  /** From the permission to the verdict. */
  install: number;
  /** Of 1. */
  failureRate: number;
  /** How many may be under way. */
  inFlight: number;
}>;

/** What the server has kept. */
export type Kept = Readonly<{ inFlight: number; failed: number; updated: number; braked?: string }>;

/** The counts of a ledger, and why its brake was pulled. */
export const keptOf = ({ inFlight, failed, updated, braked }: Ledger): Kept => ({
  inFlight: inFlight.size,
  failed: failed.size,
  updated,
  ...(braked ? { braked: braked.reason } : {}),
});

export type WholeServer = Readonly<{
  /** Each asks one thing at a time. */
  lines: readonly Readonly<{ ask(request: CheckIn): Promise<CheckInAnswer> }>[];
  /** It is this time now (milliseconds). */
  setClock(now: number): Promise<void>;
  kept(): Promise<Kept>;
}>;

export type WholeRollout = {
  minutes: number;
  checkIns: number;
  /** As the server kept it at the end of any minute, and as the hosts saw it after any answer. */
  mostKept: number;
  mostUnderWay: number;
  /** The minute at whose end the brake was seen pulled, how many had failed by then, and what pulled it. */
  braked?: Readonly<{ minute: number; failed: number; reason: string }>;
  begunAfterBrake: number;
  last: Kept;
};

/** Plays until everybody has a verdict, or nobody is under way and everybody has asked in vain since the brake was pulled. */
export async function wholeRollout(
  fleet: WholeFleet,
  server: WholeServer,
  dice: () => number,
  start: number,
): Promise<WholeRollout> {
  const game: Game = { fleet, due: new Map(), underWay: new Set(), verdicts: new Map(), start };
  for (let host = 0; host < fleet.hosts; host++) plan(game, host % fleet.poll, host);
  const played: WholeRollout = { ...NOTHING };
  for (let minute = 0; !isOver(game, played, minute); minute++) {
    await server.setClock(start + minute * MINUTE);
    const hosts = game.due.get(minute) ?? [];
    game.due.delete(minute);
    await Promise.all(server.lines.map((line) => checkInAll(game, played, line.ask.bind(line), hosts, minute, dice)));
    sample(game, played, await server.kept(), minute);
  }
  return played;
}

const MINUTE = 60_000;
const NOTHING: WholeRollout = {
  minutes: 0,
  checkIns: 0,
  mostKept: 0,
  mostUnderWay: 0,
  begunAfterBrake: 0,
  last: { inFlight: 0, failed: 0, updated: 0 },
};

type Verdict = 'updated' | 'failed';

type Game = Readonly<{
  fleet: WholeFleet;
  /** Who checks in, by minute. */
  due: Map<number, number[]>;
  underWay: Set<number>;
  verdicts: Map<number, Verdict>;
  start: number;
}>;

function plan({ due }: Game, minute: number, host: number): void {
  const others = due.get(minute);
  if (others) others.push(host);
  else due.set(minute, [host]);
}

const isOver = ({ fleet, verdicts, underWay }: Game, { braked }: WholeRollout, minute: number): boolean =>
  verdicts.size === fleet.hosts ||
  (braked !== undefined && underWay.size === 0 && minute > braked.minute + fleet.install + fleet.poll);

/** One connection takes host after host of those that are due. */
async function checkInAll(
  game: Game,
  played: WholeRollout,
  ask: (request: CheckIn) => Promise<CheckInAnswer>,
  hosts: number[],
  minute: number,
  dice: () => number,
): Promise<void> {
  const { fleet, underWay, verdicts, start } = game;
  for (let host = hosts.pop(); host !== undefined; host = hosts.pop()) {
    played.checkIns += 1;
    if (underWay.delete(host)) {
      const verdict = dice() < fleet.failureRate ? 'failed' : 'updated';
      verdicts.set(host, verdict);
      await ask(reportOf(host, verdict, start + minute * MINUTE));
      continue;
    }
    const { go } = await ask(checkInOf(host, { wants: NEW.version }));
    if (go) begin(game, played, host);
    plan(game, minute + (go ? fleet.install : fleet.poll), host);
  }
}

const NEW = { version: '2.0' as Version, counter: 2 };

const reportOf = (host: number, verdict: Verdict, now: number): CheckIn =>
  checkInOf(
    host,
    verdict === 'updated'
      ? { running: NEW }
      : { outcome: { at: new Date(now).toISOString(), result: 'rolled-back', version: NEW.version, reason: 'no web' } },
  );

function begin({ underWay }: Game, played: WholeRollout, host: number): void {
  underWay.add(host);
  played.mostUnderWay = Math.max(played.mostUnderWay, underWay.size);
  if (played.braked) played.begunAfterBrake += 1;
}

function sample({ fleet, underWay }: Game, played: WholeRollout, kept: Kept, minute: number): void {
  played.minutes = minute;
  played.last = kept;
  played.mostKept = Math.max(played.mostKept, kept.inFlight);
  if (kept.braked !== undefined) played.braked ??= { minute, failed: kept.failed, reason: kept.braked };
  if (kept.inFlight > fleet.inFlight) throw new Error(`${kept.inFlight} are under way, ${fleet.inFlight} may be`);
  if (kept.inFlight !== underWay.size)
    throw new Error(`the server knows of ${kept.inFlight} under way, and ${underWay.size} are`);
}
