/** What an agent is made of, and what it knows and holds while it runs: shared by the loop, by those who ask it and by those who watch. */

import type { Departure, MachineId, Product, Release, Saved, SlotName, State, Verdict, Version } from '../model.ts';
import type { ProgressStatus, Status, TransferStatus } from '../protocol.ts';
import type { BootBackend } from '../reboot/bootloaders/bootloader.ts';
import type { DeadMan } from '../reboot/dead-man.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import type { Random } from '../system/random.ts';
import { createEvents, type Events } from './events.ts';
import { createPolls, type PollLimits, type Polls } from './find/poll-timer.ts';
import type { Releases } from './find/releases.ts';
import { createStandingOffer, type StandingOffer } from './find/standing-offer.ts';
import { type HookGate, lockWithHooks, noHooks } from './gates/hook-gate.ts';
import type { Gates } from './gates/host-gates.ts';
import type { KeptLock } from './gates/kept-lock.ts';
import { type LockGate, lockGate } from './gates/lock-gate.ts';
import { type RebootGate, rebootGate } from './gates/reboot-gate.ts';
import type { Told } from './install/installer.ts';
import { createLastError, type LastError } from './last-error.ts';
import type { Journal, Journey } from './loop/journal.ts';
import type { Facts } from './loop/machine.ts';
import type { Prepared, Restart } from './loop/parts.ts';
import { whereabouts } from './loop/whereabouts.ts';
import { createWishes, type Wishes } from './loop/wish.ts';
import { createLeaving, type Leaving } from './restart/leaving.ts';

/** What the agent is made of; put together in `assemble.ts`. */
export type AgentWorld = Readonly<{
  product: Product;
  architecture: string;
  version: string;
  /** Who this host is to its fleet. */
  member: Readonly<{ machine?: MachineId; group: string }>;
  booted: SlotName;
  bootId: string;
  /** What os-release says. */
  systemVersion: Version;
  tries: number;
  journal: Journal;
  boot: BootBackend;
  deadMan: DeadMan;
  releases: Releases;
  prepare(release: Release, target: SlotName, told: Told, signal: AbortSignal): Promise<Prepared>;
  /** What the running or last install has fetched, copied and kept. */
  transfer?(): TransferStatus | undefined;
  /** Reads a slot and checks it against the root hash that its boot entry names. */
  scrub(slot: SlotName, told: Told, signal: AbortSignal): Promise<void>;
  probe(signal: AbortSignal): Promise<Verdict>;
  /** Writes down which units have failed by now, and what was written down in the system before. */
  noteFailed?(): Promise<void>;
  excused?(): Promise<Pick<Status, 'failedBefore'>>;
  /** Through firmware and boot loader. */
  reboot(): Promise<void>;
  restart: Restart;
  /** How the machine got here from there, and how long nothing ran. */
  journey?(departure: Departure): Promise<Journey>;
  gates: Gates;
  /** Told which release waits until somebody asks for the reboot. */
  notice?(release: Release | undefined): Promise<void>;
  lock: KeptLock;
  /** What is run right before a restart. */
  hooks?: HookGate;
  /** Told of each release that has proven itself here. */
  proven(release: Release): Promise<void>;
  /** An operator has said that the clock is right. */
  waiveClock(): Promise<string | undefined>;
  limits: PollLimits;
  /** The next moment that the schedule names. */
  scheduled(): Date | undefined;
  clock: Clock;
  random: Random;
  log: Log;
}>;

/** What changes while it runs. */
export type Memory = {
  saved: Saved;
  /** What the loop sleeps for. */
  waitingFor: string | undefined;
  /** The wait that the log has heard of. */
  loggedWait: string | undefined;
  progress: ProgressStatus | undefined;
};

export type Running = Readonly<{
  world: AgentWorld;
  /** Ends what the agent is doing. */
  signal: AbortSignal;
  memory: Memory;
  events: Events;
  polls: Polls;
  wishes: Wishes;
  lastError: LastError;
  leaving: Leaving;
  lock: LockGate;
  offer: StandingOffer;
  gate: RebootGate;
}>;

/** Remembers what the journal does. */
export async function startRunning(world: AgentWorld, signal: AbortSignal): Promise<Running> {
  const { journal, clock } = world;
  const saved = await journal.load();
  const polls = createPolls(world);
  const hooks = world.hooks ?? noHooks;
  const lock = lockWithHooks(lockGate(world.lock, world), hooks);
  const offer = createStandingOffer(clock, polls.next);
  return {
    world,
    signal,
    memory: { saved, waitingFor: undefined, loggedWait: undefined, progress: undefined },
    events: createEvents(clock),
    polls,
    wishes: createWishes(),
    lastError: createLastError(clock, journal),
    leaving: createLeaving(clock),
    lock,
    offer,
    gate: rebootGate({ ...world, lock, hooks, offer }),
  };
}

/** What is so right now. Who only wants to know does not ask for the fleet's lock. */
export async function observe(running: Running, asks = false): Promise<Facts> {
  const { world, memory, leaving, lock, gate, wishes, polls } = running;
  // Its server may be slow to answer, and a system on trial has no time to lose.
  if (asks && isAtRest(memory.saved.state)) await lock.lookAfter();
  if (asks) await world.journal.flush().catch(() => undefined);
  const place = await whereabouts(world, memory.saved);
  return {
    ...place,
    leaving: leaving.isAgreed(),
    ...(await gate.verdict(memory.saved, { asks, isFlagged: place.isFlagged })),
    checkDue: wishes.isAny() || polls.isDue(),
  };
}

const isAtRest = ({ kind }: State): boolean => kind !== 'armed' && kind !== 'trial' && kind !== 'condemned';
