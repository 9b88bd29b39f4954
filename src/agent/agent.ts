/** The agent while it runs: what the loop needs of the world, and what those who talk to it see. */

import { UpdateError } from '../errors.ts';
import {
  type Departure,
  type MachineId,
  otherSlot,
  type Product,
  type Release,
  type SlotName,
  type State,
  type Version,
} from '../model.ts';
import type { ProgressStatus, Reply, Status, TransferStatus } from '../protocol.ts';
import type { BootBackend } from '../reboot/bootloaders/bootloader.ts';
import type { DeadMan } from '../reboot/dead-man.ts';
import type { RebootLock } from '../reboot/gates/lock.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import type { Random } from '../system/random.ts';
import type { AgentView } from './control.ts';
import { createEvents } from './events.ts';
import { findOffer, findWayBack } from './finding.ts';
import { resultOf } from './findings.ts';
import { forget } from './forgetting.ts';
import type { Gates } from './gates.ts';
import { type HookGate, lockWithHooks, noHooks } from './hook-gate.ts';
import type { Told } from './installer.ts';
import type { Journal, Journey } from './journal.ts';
import { createLastError } from './last-error.ts';
import { createLeaving, restartStatus } from './leaving.ts';
import { lockGate } from './lock-gate.ts';
import type { Loop } from './loop.ts';
import type { Event, Facts } from './machine.ts';
import type { Found, Parts, Prepared, Restart, Verdict } from './parts.ts';
import { createPolls, type PollLimits, soonest } from './polls.ts';
import { rebootGate } from './reboot-gate.ts';
import type { Releases } from './releases.ts';
import { createStandingOffer } from './standing-offer.ts';
import { whereabouts } from './whereabouts.ts';
import { asksChannel, createWishes, type Wish } from './wish.ts';

/** What the agent is made of; put together in `run.ts`. */
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
  lock: RebootLock;
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

export interface Agent {
  readonly loop: Loop;
  readonly view: AgentView;
}

/** An agent that remembers what the journal does. `signal` ends what it is doing. */
export async function createAgent(world: AgentWorld, signal: AbortSignal): Promise<Agent> {
  const { journal, boot, clock, log } = world;
  const events = createEvents(clock);
  const polls = createPolls(world);
  let saved = await journal.load();
  const wishes = createWishes();
  let waitingFor: string | undefined;
  let progress: ProgressStatus | undefined;
  const lastError = createLastError(clock, journal);
  const leaving = createLeaving(clock);

  const told: Told = (phase, done, total) => {
    // A new phase knows more of what is ahead.
    if (progress?.phase !== phase) void tellStatus().catch(() => undefined);
    progress = { phase, done, total };
    events.tell({ event: 'progress', progress });
  };

  const hooks = world.hooks ?? noHooks;
  const lock = lockWithHooks(lockGate(world.lock, world), hooks);

  const offer = createStandingOffer(clock, polls.next);
  const gate = rebootGate({ ...world, fleet: world.lock, lock, hooks, offer });

  /** Who only wants to know does not ask for the fleet's lock. */
  const observe = async (asks = false): Promise<Facts> => {
    if (asks) await lock.lookAfter();
    if (asks) await journal.flush().catch(() => undefined);
    const place = await whereabouts(world, saved);
    return {
      ...place,
      leaving: leaving.isAgreed(),
      ...(await gate.verdict(saved, { asks, isFlagged: place.isFlagged })),
      checkDue: wishes.isAny() || polls.isDue(),
    };
  };

  const check = async (state: State): Promise<Found> => {
    const asked = wishes.take();
    const { running } = await observe();
    const found =
      asked?.kind === 'rollback'
        ? await findWayBack(world, { running, slots: saved.slots, told, signal })
        : await findOffer(world, asked?.kind === 'install' ? asked : undefined, { running, state, signal });
    wishes.done();
    const { result, code } = resultOf(found);
    log.info({ code }, `checked: ${result}`);
    polls.succeeded(resultOf(found));
    if (state.kind === 'staged' && asksChannel(asked)) offer.answered(state.release, found);
    else if (found.found === 'offer') offer.taken();
    return found;
  };

  const parts: Parts = {
    boot,
    tries: world.tries,
    observe: () => lastError.seeing(observe(true)),
    check,
    prepare: (release, target) => world.prepare(release, target, told, signal),
    probe: () => world.probe(signal),
    noteFailed: async () => world.noteFailed?.(),
    reboot: () => leaving.agreed(world.reboot()),
    restart: { ...world.restart, jump: (method) => leaving.agreed(world.restart.jump(method)) },
    lock,
    deadMan: world.deadMan,
    report: async (outcome) => {
      // Its moment is a part of what is written.
      await journal.flush();
      if (outcome.result === 'updated') await world.proven(outcome.release);
      const departure = outcome.result === 'none' ? undefined : outcome.departure;
      await journal.report(saved, outcome, departure && (await world.journey?.(departure)));
    },
    reportDisarmed: () => journal.reportDisarmed(saved),
    save: async (_state, event) => {
      const before = saved;
      saved = await journal.advance(before, event, clock.now());
      log.info({ event: event.type, state: saved.state.kind, ...whyOf(event) }, `now ${saved.state.kind}`);
      lastError.saved(before, event, saved);
      if (saved.state.kind === 'idle') await gate.forgetApply();
      progress = undefined;
      await tellStatus();
      return saved.state;
    },
  };

  const status = async (): Promise<Status> => {
    const view = await boot.read().catch(() => undefined);
    const facts = view && (await observe().catch(() => undefined));
    const transfer = world.transfer?.();
    return {
      schema: 1,
      agent: world.version,
      at: clock.now().toISOString(),
      state: saved.state,
      since: saved.since,
      ...world.member,
      booted: world.booted,
      ...(facts ? { running: facts.running, confirmed: facts.confirmed } : {}),
      ...(view ? { slots: view.slots } : {}),
      ...(waitingFor === undefined ? {} : { waitingFor }),
      ...(saved.state.kind === 'staged' ? world.gates.status(saved.since, await gate.others(saved.state)) : {}),
      ...(saved.disarmed ? { disarmed: saved.disarmed } : {}),
      ...(await world.excused?.()),
      ...(progress ? { progress } : {}),
      ...(transfer ? { transfer } : {}),
      ...(await restartStatus(world.restart, journal, saved.state, leaving.isAgreed())),
      ...polls.status(),
      ...lastError.status(saved),
      refused: await journal.refusals(),
    };
  };
  const tellStatus = async (): Promise<void> => events.tell({ event: 'status', status: await status() });

  let toldWait: string | undefined;
  /** Once, not at every look. */
  const tellWait = async (reason: string): Promise<void> => {
    if (reason === toldWait) return;
    toldWait = reason;
    const gates =
      saved.state.kind === 'staged' ? world.gates.status(saved.since, await gate.others(saved.state)).gates : undefined;
    log.info({ ...(gates ? { codes: gates.map(({ code }) => code) } : {}) }, `waits for ${reason}`);
  };

  const loop: Loop = {
    parts,
    state: () => saved.state,
    began: (action) => {
      waitingFor = undefined;
      log.info({ action: action.do }, `begins to ${action.do}`);
    },
    failed: (action, error) => {
      log.error({ action: action?.do, code: error.code }, error.message);
      events.tell({ event: 'failed', failure: lastError.failed(action, error) });
      polls.failed(error, action?.do === 'check');
      if (action?.do !== 'check') return;
      if (saved.state.kind === 'staged' && asksChannel(wishes.inHand())) offer.unanswered(saved.state.release, error);
      wishes.done();
    },
    pause: async (reason, stop) => {
      waitingFor = reason;
      await tellWait(reason);
      await world.notice?.(saved.state.kind === 'staged' && gate.isApplyAwaited() ? saved.state.release : undefined);
      await tellStatus();
      await polls.pause(saved.state, reason, stop, soonest(lock.wakeMs(), world.gates.wakeMs()));
    },
  };

  const ask = async (asked: Wish, message: string): Promise<Reply> => {
    mustRest(saved.state);
    wishes.ask(asked);
    lastError.forget();
    polls.wake();
    return { schema: 1, result: 'accepted', message };
  };

  const view: AgentView = {
    status,
    history: (limit) => journal.history(limit),
    events: (stop) => events.follow(async () => ({ event: 'status', status: await status() }), stop),
    check: () => ask({ kind: 'offer' }, 'Asking the repository.'),
    install: (request) => ask({ kind: 'install', ...request }, 'Looking for the release.'),
    rollback: async () => {
      if ((await boot.read()).slots[otherSlot(world.booted)].version === undefined)
        throw new UpdateError('no-way-back');
      const reply = await ask({ kind: 'rollback' }, 'Checking the other slot, then rebooting into it.');
      await gate.apply();
      return reply;
    },
    apply: async () => {
      const { state, since } = saved;
      if (state.kind !== 'staged') throw new UpdateError('nothing-staged');
      await gate.apply(since);
      polls.wake();
      return { schema: 1, result: 'accepted', message: `${state.release.version} is started, unless it was pulled.` };
    },
    forget: async (request) => {
      const reply = await forget(world, request);
      await tellStatus();
      return reply;
    },
  };
  return { loop, view };
}

function mustRest(state: State): void {
  if (state.kind === 'idle' || state.kind === 'staged') return;
  throw new UpdateError('agent-busy', `The agent is ${state.kind}.`);
}

const whyOf = (event: Event): { reason?: string } => ('reason' in event ? { reason: event.reason } : {});
