/** The agent's status, on request and for followers. */

import type { Status } from '../protocol.ts';
import type { Told } from './install/installer.ts';
import { restartStatus } from './restart/leaving.ts';
import { observe, type Running } from './running.ts';

export async function statusOf(running: Running): Promise<Status> {
  const { world, memory, leaving, polls, lastError, lock } = running;
  const { saved, waitingFor, progress } = memory;
  const view = await world.boot.read().catch(() => undefined);
  const facts = view && (await observe(running).catch(() => undefined));
  const transfer = world.transfer?.();
  const lockOwed = lock.owed();
  return {
    schema: 1,
    agent: world.version,
    at: world.clock.now().toISOString(),
    state: saved.state,
    since: saved.since,
    ...world.member,
    booted: world.booted,
    ...(facts ? { running: facts.running, confirmed: facts.confirmed } : {}),
    ...(view ? { slots: view.slots } : {}),
    ...(waitingFor === undefined ? {} : { waitingFor }),
    ...(await gatesStatus(running)),
    ...(saved.disarmed ? { disarmed: saved.disarmed } : {}),
    ...(await world.excused?.()),
    ...(progress ? { progress } : {}),
    ...(transfer ? { transfer } : {}),
    ...(await restartStatus(world.restart, world.journal, saved.state, leaving.isAgreed())),
    ...polls.status(),
    ...lastError.status(saved),
    ...(lockOwed ? { lockOwed } : {}),
    refused: await world.journal.refusals(),
  };
}

/** The obstacles between a staged release and its start. */
export async function gatesStatus({ world, memory, gate }: Running): Promise<Pick<Status, 'gates'>> {
  const { state, since } = memory.saved;
  return state.kind === 'staged' ? world.gates.status(since, await gate.others(state)) : {};
}

export async function tellStatus(running: Running): Promise<void> {
  running.events.tell({ event: 'status', status: await statusOf(running) });
}

/** The progress of an installation or of a slot's check. */
export const tellProgress =
  (running: Running): Told =>
  (phase, done, total) => {
    const { memory, events } = running;
    // A new phase knows more about the rest.
    if (memory.progress?.phase !== phase) void tellStatus(running).catch(() => undefined);
    memory.progress = { phase, done, total };
    events.tell({ event: 'progress', progress: memory.progress });
  };
