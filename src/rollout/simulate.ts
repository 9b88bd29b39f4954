/** Simulates a rollout on an imaginary fleet, minute by minute: polls, admissions, failures, the brake. Pure. */

import type { MachineId } from '../model.ts';
import { emptyLedger, giveUpOverdue, type Ledger, release } from './brake.ts';
import type { ServerLimits } from './document.ts';
import { answerHost, type Caller, type RolloutAnswer } from './roll-call.ts';
import { type Host, judgeHost, type Rollout, type Step } from './rollout.ts';

/** All times in minutes. */
export type Fleet = Readonly<{
  hosts: number;
  /** The share of hosts in each group (together 1), and the release they run. */
  groups: readonly Readonly<{ name: string; share: number; running: Step }>[];
  poll: number;
  /** The time from the offer to the staged release. */
  install: number;
  /** The time from the reboot to the verdict. */
  reboot: number;
  /** Probabilities (0 to 1) that an attempt fails because of the release, or is hindered by its surroundings and retried. */
  failureRate: number;
  hindranceRate?: number;
  /** The time after which an operator releases the brake; never if undefined. */
  releaseAfter?: number;
  /** The reboot window, from midnight (UTC); any time if undefined. */
  window?: Readonly<{ start: number; length: number }>;
  /** The number of hosts that may reboot at the same time; unlimited if undefined. */
  lock?: number;
}>;

/** The fleet at one time, in minutes since the start. Each host counts in exactly one of `waiting`, `inFlight`, `updated`, `failed`. */
export type Sample = Readonly<{
  at: number;
  waiting: number;
  inFlight: number;
  /** Part of `inFlight`. */
  rebooting: number;
  updated: number;
  failed: number;
}>;

export type Played = Readonly<{
  samples: readonly Sample[];
  /** The peak numbers of hosts under way and rebooting. */
  mostInFlight: number;
  mostRebooting: number;
  braked?: Readonly<{ at: number; reason: string }>;
  /** When the last host was updated; undefined if some never were. */
  finishedAt?: number;
}>;

/** The length of the simulation, the sampling interval, and a listener for every check-in and its answer. */
export type Playing = Readonly<{
  minutes: number;
  sampleEvery: number;
  heard?(at: number, caller: Caller, answer: RolloutAnswer): void;
  /** Called when the brake is released. */
  released?(at: number): void;
}>;

/** Runs until the time is over or no event is left. Deterministic for a given `dice`, which returns numbers in [0, 1). */
export function play(
  rollout: Rollout,
  limits: ServerLimits,
  fleet: Fleet,
  dice: () => number,
  { minutes, sampleEvery, heard = () => {}, released = () => {} }: Playing,
): Played {
  const game = { ...newGame(rollout, limits, fleet, dice), heard, released };
  const samples: Sample[] = [];
  let at = 0;
  for (; at <= minutes && !isOver(game); at += 1) {
    playMinute(game, at);
    if (at % sampleEvery === 0) samples.push(sampleOf(game, at));
  }
  if (samples.at(-1)?.at !== at - 1) samples.push(sampleOf(game, at - 1));
  const { mostInFlight, mostRebooting, updated } = game;
  const { braked } = game.ledger;
  return {
    samples,
    mostInFlight,
    mostRebooting,
    ...(braked ? { braked: { at: (braked.at - rollout.start) / MINUTE, reason: braked.reason } } : {}),
    ...(updated === fleet.hosts ? { finishedAt: at - 1 } : {}),
  };
}

const MINUTE = 60_000;
const DAY = 1440;

type Deed = Readonly<{ host: number; deed: 'ask' | 'staged' | 'back' }>;
type Player = { who: Host; step?: Step };
type Game = {
  readonly rollout: Rollout;
  readonly limits: ServerLimits;
  readonly fleet: Fleet;
  readonly dice: () => number;
  readonly heard: NonNullable<Playing['heard']>;
  readonly released: NonNullable<Playing['released']>;
  readonly ledger: Ledger;
  /** The events of each minute. */
  readonly calendar: Map<number, Deed[]>;
  readonly players: readonly Player[];
  /** Staged hosts that wait for the lock. */
  readonly waiting: number[];
  rebooting: number;
  updated: number;
  mostInFlight: number;
  mostRebooting: number;
};

function newGame(
  rollout: Rollout,
  limits: ServerLimits,
  fleet: Fleet,
  dice: () => number,
): Omit<Game, 'heard' | 'released'> {
  const counts = { rebooting: 0, updated: 0, mostInFlight: 0, mostRebooting: 0 };
  const players = fleet.groups
    .flatMap(({ name, running }, index) =>
      Array.from({ length: sizeOf(fleet, index) }, () => ({ group: name, running })),
    )
    .map((one, at) => ({ who: { ...one, machine: `${PREFIX}${at}` as MachineId } }));
  const calendar = new Map<number, Deed[]>();
  const game = { rollout, limits, fleet, dice, ledger: emptyLedger(), calendar, players, waiting: [], ...counts };
  for (const host of players.keys()) plan(game, Math.floor(dice() * fleet.poll), { host, deed: 'ask' });
  return game;
}

const PREFIX = 'machine-';
const numberOf = (machine: MachineId): number => Number(machine.slice(PREFIX.length));

/** The last group gets the rounding remainder. */
function sizeOf({ hosts, groups }: Fleet, index: number): number {
  const rounded = groups.map(({ share }) => Math.round(hosts * share));
  const before = rounded.slice(0, index).reduce((sum, one) => sum + one, 0);
  return index < groups.length - 1 ? Math.min(rounded[index] ?? 0, hosts - before) : hosts - before;
}

function plan({ calendar }: Pick<Game, 'calendar'>, at: number, deed: Deed): void {
  const deeds = calendar.get(at);
  if (deeds) deeds.push(deed);
  else calendar.set(at, [deed]);
}

function playMinute(game: Game, at: number): void {
  giveUpOverdue(game.ledger, game.limits, momentOf(game, at));
  releaseIfDue(game, at);
  // An event may add others to the same minute; they run after it.
  for (const { host, deed } of game.calendar.get(at) ?? []) {
    if (deed === 'ask') ask(game, host, at);
    else if (deed === 'staged') startReboot(game, host, at);
    else comeBack(game, host, at);
  }
  game.calendar.delete(at);
  game.mostInFlight = Math.max(game.mostInFlight, game.ledger.inFlight.size);
  game.mostRebooting = Math.max(game.mostRebooting, game.rebooting);
}

/** A readmitted host asks at its next poll. */
function releaseIfDue({ ledger, fleet: { releaseAfter, poll }, ...game }: Game, at: number): void {
  const { braked } = ledger;
  if (!braked || releaseAfter === undefined || momentOf(game, at) < braked.at + releaseAfter * MINUTE) return;
  const failed = [...ledger.failed].filter(([, { doubt }]) => !doubt).map(([machine]) => machine);
  release(ledger);
  game.released(at);
  for (const machine of failed) plan(game, at + poll, { host: numberOf(machine), deed: 'ask' });
}

const momentOf = ({ rollout }: Pick<Game, 'rollout'>, at: number): number => rollout.start + at * MINUTE;

function playerOf({ players }: Game, host: number): Player {
  const player = players[host];
  if (!player) throw new RangeError(`there is no host ${host}`);
  return player;
}

/** A host polls: it evaluates the signed policy itself, and asks the server only if that permits the release. */
function ask(game: Game, host: number, at: number): void {
  const { rollout, fleet } = game;
  const player = playerOf(game, host);
  const now = momentOf(game, at);
  const verdict = judgeHost(rollout, player.who, now);
  if (verdict.result === 'current') game.updated += 1;
  if (verdict.result === 'hold' && verdict.until !== undefined) {
    // Skips polls that would get the same answer.
    const polls = Math.ceil(Math.max(1, verdict.until - now) / MINUTE / fleet.poll);
    plan(game, at + fleet.poll * polls, { host, deed: 'ask' });
  }
  if (verdict.result !== 'offer') return;
  const answer = call(game, at, { ...player.who, ...IDLE, wants: verdict.step.version });
  if (answer.go) {
    player.step = verdict.step;
    plan(game, at + fleet.install, { host, deed: 'staged' });
  } else if (answer.code !== 'failed-here') plan(game, at + fleet.poll, { host, deed: 'ask' });
}

const FAILED = { result: 'rolled-back', reason: 'failed its health check', fault: 'release' } as const;
const HINDERED = { result: 'failed', reason: 'its disk was full', fault: 'surroundings' } as const;
const IDLE = { confirmed: true, idle: true };

function call(game: Game, at: number, caller: Caller): RolloutAnswer {
  const { rollout, limits, ledger } = game;
  const answer = answerHost({ policy: rollout, limits }, ledger, caller, momentOf(game, at));
  game.heard(at, caller, answer);
  return answer;
}

function startReboot(game: Game, host: number, at: number): void {
  const opens = windowOpens(game.fleet, momentOf(game, at));
  if (opens > 0) plan(game, at + opens, { host, deed: 'staged' });
  else if (game.fleet.lock !== undefined && game.rebooting >= game.fleet.lock) game.waiting.push(host);
  else {
    game.rebooting += 1;
    plan(game, at + game.fleet.reboot, { host, deed: 'back' });
  }
}

/** Minutes until the window opens; 0 if it is open. */
function windowOpens({ window }: Fleet, now: number): number {
  if (!window) return 0;
  const minute = Math.floor(now / MINUTE) % DAY;
  const since = (minute - window.start + DAY) % DAY;
  return since < window.length ? 0 : DAY - since;
}

function comeBack(game: Game, host: number, at: number): void {
  const { rollout, fleet, dice } = game;
  const player = playerOf(game, host);
  const { step } = player;
  if (!step) throw new RangeError(`the host ${host} has not left`);
  const luck = dice();
  const hasFailed = luck < fleet.failureRate;
  // Hindered by its disk or network, it never restarted into the release.
  const isHindered = !hasFailed && luck < fleet.failureRate + (fleet.hindranceRate ?? 0);
  game.rebooting -= 1;
  if (!hasFailed && !isHindered) player.who = { ...player.who, running: step };
  const ended = hasFailed ? FAILED : HINDERED;
  const told = hasFailed || isHindered ? { ended: { ...ended, version: step.version } } : {};
  call(game, at, { ...player.who, ...IDLE, ...told });
  if (judgeHost(rollout, player.who, momentOf(game, at)).result === 'current') game.updated += 1;
  else if (!hasFailed) plan(game, at + fleet.poll, { host, deed: 'ask' });
  const next = game.waiting.shift();
  if (next !== undefined) startReboot(game, next, at);
}

const isOver = ({ calendar, waiting, ledger, updated, fleet }: Game): boolean =>
  updated === fleet.hosts ||
  (calendar.size === 0 && waiting.length === 0) ||
  (ledger.braked !== undefined && ledger.inFlight.size === 0 && fleet.releaseAfter === undefined);

function sampleOf({ ledger, rebooting, updated, fleet }: Game, at: number): Sample {
  const inFlight = ledger.inFlight.size;
  const failed = ledger.failed.size;
  return { at, waiting: fleet.hosts - inFlight - failed - updated, inFlight, rebooting, updated, failed };
}
