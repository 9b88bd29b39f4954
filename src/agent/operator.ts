/** An operator's requests to the agent. */

import { UpdateError } from '../errors.ts';
import { otherSlot, type State } from '../model.ts';
import type { Reply } from '../protocol.ts';
import type { AgentView } from './control.ts';
import { forget } from './loop/forgetting.ts';
import type { Wish } from './loop/wish.ts';
import type { Running } from './running.ts';
import { statusOf, tellStatus } from './status.ts';

export function operatorView(running: Running): AgentView {
  const { world, events } = running;
  return {
    status: () => statusOf(running),
    history: (limit) => world.journal.history(limit),
    events: (stop) => events.follow(async () => ({ event: 'status', status: await statusOf(running) }), stop),
    check: () => ask(running, { kind: 'offer' }, 'Checking the repository.'),
    install: (request) => ask(running, { kind: 'install', ...request }, 'Looking for the release.'),
    rollback: () => rollBack(running),
    apply: () => apply(running),
    forget: async (request) => {
      const reply = await forget(world, request);
      await tellStatus(running);
      return reply;
    },
  };
}

async function ask({ memory, wishes, lastError, polls }: Running, asked: Wish, message: string): Promise<Reply> {
  mustRest(memory.saved.state);
  wishes.ask(asked);
  lastError.forget();
  polls.wake();
  return { schema: 1, result: 'accepted', message };
}

function mustRest(state: State): void {
  if (state.kind === 'idle' || state.kind === 'staged') return;
  throw new UpdateError('agent-busy', `The agent is ${state.kind}.`);
}

async function rollBack(running: Running): Promise<Reply> {
  const { boot, booted } = running.world;
  if ((await boot.read()).slots[otherSlot(booted)].version === undefined) throw new UpdateError('no-way-back');
  const reply = await ask(running, { kind: 'rollback' }, 'Checking the other slot, then rebooting into it.');
  await running.gate.apply();
  return reply;
}

async function apply({ memory, gate, polls }: Running): Promise<Reply> {
  const { state, since } = memory.saved;
  if (state.kind !== 'staged') throw new UpdateError('nothing-staged');
  await gate.apply(since);
  polls.wake();
  return { schema: 1, result: 'accepted', message: `Rebooting into ${state.release.version}, unless it was pulled.` };
}
