/** Sends events to all followers. A slow follower misses old progress, never the latest event. */

import type { AgentEvent } from '../protocol.ts';
import type { Clock } from '../system/clock.ts';

export interface Events {
  tell(event: AgentEvent): void;
  /** `first`, then every event until the signal is aborted. */
  follow(first: () => Promise<AgentEvent>, stop: AbortSignal): AsyncGenerator<AgentEvent>;
}

const BEAT_MS = 20_000;
const QUEUE = 64;

type Follower = { queue: AgentEvent[]; wake: AbortController };

export function createEvents(clock: Pick<Clock, 'sleep'>): Events {
  const followers = new Set<Follower>();
  return {
    tell: (event) => {
      for (const follower of followers) {
        if (event.event === 'progress') follower.queue = follower.queue.filter((old) => old.event !== 'progress');
        follower.queue = [...follower.queue, event].slice(-QUEUE);
        follower.wake.abort();
      }
    },
    follow: async function* (first, stop) {
      const follower: Follower = { queue: [], wake: new AbortController() };
      followers.add(follower);
      try {
        yield await first();
        while (!stop.aborted) {
          const next = follower.queue.shift();
          if (next) yield next;
          else if (!(await isWoken(clock, follower, stop))) yield { event: 'beat' };
        }
      } finally {
        followers.delete(follower);
      }
    },
  };
}

/** False if nothing happened within one beat. */
async function isWoken(clock: Pick<Clock, 'sleep'>, follower: Follower, stop: AbortSignal): Promise<boolean> {
  const woken = await clock.sleep(BEAT_MS, AbortSignal.any([follower.wake.signal, stop])).then(
    () => false,
    () => true,
  );
  follower.wake = new AbortController();
  return woken;
}
