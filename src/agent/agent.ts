/** The agent: a loop, and a view for its clients. */

import type { State } from '../model.ts';
import type { AgentView } from './control.ts';
import { findOffer, findWayBack } from './find/check.ts';
import { soonest } from './find/poll-timer.ts';
import { resultOf } from './findings.ts';
import type { Loop } from './loop/loop.ts';
import type { Event } from './loop/machine.ts';
import type { Found, Parts } from './loop/parts.ts';
import { asksChannel } from './loop/wish.ts';
import { operatorView } from './operator.ts';
import { type AgentWorld, observe, type Running, startRunning } from './running.ts';
import { gatesStatus, tellProgress, tellStatus } from './status.ts';

export interface Agent {
  readonly loop: Loop;
  readonly view: AgentView;
}

/** An agent with the journal's memory. `signal` ends its current work. */
export async function createAgent(world: AgentWorld, signal: AbortSignal): Promise<Agent> {
  const running = await startRunning(world, signal);
  return { loop: loopOf(running), view: operatorView(running) };
}

function loopOf(running: Running): Loop {
  const { world, memory, events, polls, wishes, lastError, offer, gate, lock } = running;
  return {
    parts: partsOf(running),
    state: () => memory.saved.state,
    began: (action) => {
      memory.waitingFor = undefined;
      world.log.info({ action: action.do }, `begins to ${action.do}`);
    },
    failed: (action, error) => {
      const { state } = memory.saved;
      world.log.error({ action: action?.do, code: error.code }, error.message);
      events.tell({ event: 'failed', failure: lastError.failed(action, error) });
      polls.failed(error, action?.do === 'check');
      if (action?.do !== 'check') return;
      if (state.kind === 'staged' && asksChannel(wishes.inHand())) offer.unanswered(state.release, error);
      wishes.done();
    },
    pause: async (reason, stop) => {
      const { state } = memory.saved;
      memory.waitingFor = reason;
      await logWait(running, reason);
      await world.notice?.(state.kind === 'staged' && gate.isApplyAwaited() ? state.release : undefined);
      await tellStatus(running);
      await polls.pause(memory.saved.state, reason, stop, soonest(lock.wakeMs(), world.gates.wakeMs()));
    },
  };
}

/** Logged once, not at every turn of the loop. */
async function logWait(running: Running, reason: string): Promise<void> {
  const { world, memory } = running;
  if (reason === memory.loggedWait) return;
  memory.loggedWait = reason;
  const { gates } = await gatesStatus(running);
  world.log.info({ ...(gates ? { codes: gates.map(({ code }) => code) } : {}) }, `waits for ${reason}`);
}

function partsOf(running: Running): Parts {
  const { world, signal, memory, lastError, leaving, lock } = running;
  const { journal, boot, deadMan, tries } = world;
  return {
    boot,
    tries,
    lock,
    deadMan,
    observe: () => lastError.seeing(observe(running, true)),
    check: (state) => check(running, state),
    prepare: (release, target) => world.prepare(release, target, tellProgress(running), signal),
    probe: () => world.probe(signal),
    noteFailed: async () => world.noteFailed?.(),
    reboot: () => leaving.agreed(world.reboot()),
    restart: { ...world.restart, jump: (method) => leaving.agreed(world.restart.jump(method)) },
    report: async (outcome) => {
      // The entry contains the moment of the saved state.
      await journal.flush();
      if (outcome.result === 'updated') await world.proven(outcome.release);
      const departure = outcome.result === 'none' ? undefined : outcome.departure;
      await journal.report(memory.saved, outcome, departure && (await world.journey?.(departure)));
    },
    reportDisarmed: () => journal.reportDisarmed(memory.saved),
    save: (_state, event) => save(running, event),
  };
}

async function save(running: Running, event: Event): Promise<State> {
  const { world, memory, lastError, gate } = running;
  const before = memory.saved;
  memory.saved = await world.journal.advance(before, event, world.clock.now());
  const { kind } = memory.saved.state;
  world.log.info({ event: event.type, state: kind, ...whyOf(event) }, `now ${kind}`);
  lastError.saved(before, event, memory.saved);
  if (kind === 'idle') await gate.forgetApply();
  memory.progress = undefined;
  await tellStatus(running);
  return memory.saved.state;
}

const whyOf = (event: Event): { reason?: string } => ('reason' in event ? { reason: event.reason } : {});

async function check(agent: Running, state: State): Promise<Found> {
  const { world, signal, memory, wishes, polls, offer } = agent;
  const asked = wishes.take();
  const { running } = await observe(agent);
  const found =
    asked?.kind === 'rollback'
      ? await findWayBack(world, { running, slots: memory.saved.slots, told: tellProgress(agent), signal })
      : await findOffer(world, asked?.kind === 'install' ? asked : undefined, { running, state, signal });
  wishes.done();
  const { result, code } = resultOf(found);
  world.log.info({ code }, `checked: ${result}`);
  polls.succeeded(resultOf(found));
  if (state.kind === 'staged' && asksChannel(asked)) offer.answered(state.release, found);
  else if (found.found === 'offer') offer.taken();
  return found;
}
