/** Follows the agent through the requested work, with a progress bar, until it rests. */

import type { AgentEvent, Status } from '../../protocol.ts';
import type { Output } from '../output.ts';
import { type AgentClient, failureOf } from './agent-client.ts';
import { PHASES, planLines } from './status-text.ts';

/** Returns the status in which the agent came to rest; throws the failure that ended the work. */
export async function followWork(client: AgentClient, out: Output, ask: () => Promise<unknown>): Promise<Status> {
  using bar = out.progress('waiting');
  // Subscribes before asking, so that nothing is missed. Closed at the end, or the command would never exit.
  await using events = client.events();
  const first = await next(events);
  const before = first.event === 'status' ? first.status : undefined;
  let isPlanShown = false;
  await ask();
  for (;;) {
    const event = await next(events);
    if (event.event === 'failed') throw failureOf(event.failure.code, event.failure.message);
    if (event.event === 'progress') bar.update(event.progress.done, event.progress.total, PHASES[event.progress.phase]);
    if (event.event === 'status' && !isPlanShown && event.status.state.kind === 'staging') {
      const plan = planLines(event.status);
      for (const line of plan) out.line(line);
      isPlanShown = plan.length > 0;
    }
    if (event.event === 'status' && isAtRest(event.status, before)) return ended(event.status, before);
  }
}

async function next(events: AsyncGenerator<AgentEvent>): Promise<AgentEvent> {
  const { value, done } = await events.next();
  if (done) throw failureOf('agent-lost', 'The agent went away while it was working.');
  return value;
}

/** The agent waits for something outside itself: the next check, an operator, the restart of the machine. */
const isAtRest = (status: Status, before: Status | undefined): boolean =>
  status.waitingFor !== undefined &&
  (status.lastCheck?.at !== before?.lastCheck?.at || status.state.kind !== before?.state.kind);

/** An attempt that failed in between fails the command, too. */
function ended(status: Status, before: Status | undefined): Status {
  const { lastError } = status;
  if (lastError && lastError.at !== before?.lastError?.at) throw failureOf(lastError.code, lastError.message);
  return status;
}
