/** The parts of an agent and its state while it runs: shared by the loop, clients and followers. */

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

/** The parts of an agent; assembled in `assemble.ts`. */
export type AgentWorld = Readonly<{
  product: Product;
  architecture: string;
  version: string;
  /** The identity of this host in its fleet. */
  member: Readonly<{ machine?: MachineId; group: string }>;
  booted: SlotName;
  bootId: string;
  /** The version in os-release. */
  systemVersion: Version;
  tries: number;
  journal: Journal;
  boot: BootBackend;
  deadMan: DeadMan;
  releases: Releases;
  prepare(release: Release, target: SlotName, told: Told, signal: AbortSignal): Promise<Prepared>;
  /** Bytes fetched, copied and kept by the current or last install. */
  transfer?(): TransferStatus | undefined;
  /** Reads a slot and checks it against the root hash that its boot entry names. */
  scrub(slot: SlotName, told: Told, signal: AbortSignal): Promise<void>;
  probe(signal: AbortSignal): Promise<Verdict>;
  /** Records the units that have failed by now; `excused` returns what the previous system recorded. */
  noteFailed?(): Promise<void>;
  excused?(): Promise<Pick<Status, 'failedBefore'>>;
  /** Through firmware and boot loader. */
  reboot(): Promise<void>;
  restart: Restart;
  /** The restart method that led here, and the downtime. */
  journey?(departure: Departure): Promise<Journey>;
  gates: Gates;
  /** Gets the release that waits for an operator's request to reboot. */
  notice?(release: Release | undefined): Promise<void>;
  lock: KeptLock;
  /** The programs that run right before a restart. */
  hooks?: HookGate;
  /** Gets each release that has proven itself here. */
  proven(release: Release): Promise<void>;
  /** An operator confirms that the clock is right. */
  waiveClock(): Promise<string | undefined>;
  limits: PollLimits;
  /** The next moment of the schedule. */
  scheduled(): Date | undefined;
  clock: Clock;
  random: Random;
  log: Log;
}>;

/** The state that changes while the agent runs. */
export type Memory = {
  saved: Saved;
  /** What the loop sleeps for. */
  waitingFor: string | undefined;
  /** The wait that was logged last. */
  loggedWait: string | undefined;
  progress: ProgressStatus | undefined;
};

export type Running = Readonly<{
  world: AgentWorld;
  /** Ends the agent's current work. */
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

/** Starts from the journal's memory. */
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

/** The facts right now. Without `asks`, the fleet's lock is not requested. */
export async function observe(running: Running, asks = false): Promise<Facts> {
  const { world, memory, leaving, lock, gate, wishes, polls } = running;
  // The lock's server may be slow, and a system on trial has no time to lose.
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
