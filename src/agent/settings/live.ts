/** The fleet settings that a running agent applies, and how it shows them. */

import type { Config } from '../../config/config.ts';
import type { State } from '../../model.ts';
import type { AgentEvent, Status } from '../../protocol.ts';
import type { Agent } from '../agent.ts';
import type { Gates } from '../gates/host-gates.ts';
import type { Loop } from '../loop/loop.ts';
import type { Surroundings } from '../surroundings.ts';
import type { FleetSettings } from './settings.ts';

/** Gates that follow the settings: recreated when a setting that they use has changed. */
export function liveGates(current: () => Config, make: (config: Config) => Gates): Gates {
  let config = current();
  let gates = make(config);
  const now = (): Gates => {
    const next = current();
    if (next !== config && JSON.stringify(next.reboot) !== JSON.stringify(config.reboot)) gates = make(next);
    config = next;
    return gates;
  };
  return {
    applied: gates.applied,
    isAutomatic: () => now().isAutomatic(),
    ask: (...about) => now().ask(...about),
    overrides: (...about) => now().overrides(...about),
    wakeMs: () => now().wakeMs(),
    status: (...about) => now().status(...about),
  };
}

/** The same agent, which also wakes when the settings change, and shows them. */
export function withFleetSettings(agent: Agent, settings: FleetSettings | undefined): Agent {
  if (!settings) return agent;
  const { loop, view } = agent;
  const told = (status: Status): Status => ({ ...status, settings: settings.status() });
  return {
    loop: { ...loop, pause: pauseUnlessChanged(loop, settings) },
    view: { ...view, status: async () => told(await view.status()), events: (stop) => toldIn(view.events(stop), told) },
  };
}

/** A loop that shows when it rests. */
export function restingLoop(loop: Loop): Loop & Readonly<{ isResting(): boolean }> {
  let resting = false;
  return {
    ...loop,
    isResting: () => resting,
    pause: async (reason, stop) => {
      resting = true;
      await loop.pause(reason, stop);
      resting = false;
    },
  };
}

/** Until settings that apply only at the start are waiting, and the host is at rest: then the agent may restart. */
export async function untilOutdated(
  settings: Pick<FleetSettings, 'status'>,
  loop: Readonly<{ state(): State; isResting(): boolean }>,
  { clock, random, log, signal }: Pick<Surroundings, 'clock' | 'random' | 'log' | 'signal'>,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep((RENEWAL_MS * (1 + random.fraction())) / 2, signal).catch(() => {});
    const { pending } = settings.status();
    if (signal.aborted || pending.length === 0 || loop.state().kind !== 'idle' || !loop.isResting()) continue;
    log.info({ pending }, 'fleet settings take effect at the next start: the agent exits to be restarted');
    return;
  }
}

/** Whatever etcd says, an agent runs for at least half of this. */
const RENEWAL_MS = 10 * 60_000;

/** The loop may have missed a change while it was working. */
function pauseUnlessChanged(loop: Loop, settings: Pick<FleetSettings, 'changed'>): Loop['pause'] {
  let seen = settings.changed();
  return async (reason, stop) => {
    await loop.pause(reason, AbortSignal.any([stop, seen]));
    seen = settings.changed();
  };
}

async function* toldIn(
  events: AsyncIterable<AgentEvent>,
  told: (status: Status) => Status,
): AsyncGenerator<AgentEvent> {
  for await (const one of events) yield one.event === 'status' ? { ...one, status: told(one.status) } : one;
}
