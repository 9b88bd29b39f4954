/** When the loop turns next: on schedule, after a failure, or on a request. */

import type { UpdateError } from '../../errors.ts';
import type { State } from '../../model.ts';
import type { Status } from '../../protocol.ts';
import type { Clock } from '../../system/clock.ts';
import type { Random } from '../../system/random.ts';
import { jitter, type PollLimits, retryDelay } from './poll-plan.ts';

export type { PollLimits };

export interface Polls {
  isDue(): boolean;
  /** A check succeeded, with that result. */
  succeeded(found: Omit<NonNullable<Status['lastCheck']>, 'at'>): void;
  /** Something failed; a failed check moves the next one. */
  failed(error: UpdateError, wasCheck: boolean): void;
  wake(): void;
  /** When the next check is due, by the wall clock. */
  next(): Date;
  /** Sleeps until something is due, but no longer than `longestMs`. */
  pause(state: State, reason: string, stop: AbortSignal, longestMs?: number): Promise<void>;
  status(): Pick<Status, 'lastCheck' | 'lastGoodCheck' | 'nextCheck' | 'nextTry'>;
}

/** A machine that did not restart on request is asked again after this time. */
const RESTART_MS = 5 * 60_000;
/** The wall clock may jump, and the schedule follows it, so the loop never sleeps longer than this at a time. */
const LONGEST_MS = 10 * 60_000;

type PollWorld = Readonly<{ clock: Clock; random: Random; limits: PollLimits; scheduled(): Date | undefined }>;

export function createPolls({ clock, random, limits, scheduled }: PollWorld): Polls {
  // The first check comes soon after the start, but not at the same moment on every host that was switched on together.
  let dueAt = clock.monotonicMs() + jitter(limits, random.fraction());
  let failures = 0;
  let retryAt: number | undefined;
  let lastCheck: Status['lastCheck'];
  let lastGoodCheck: string | undefined;
  let woken = new AbortController();

  const untilScheduled = (): number => {
    const next = scheduled();
    const wait = next ? next.getTime() - clock.now().getTime() : limits.backoffLimitMs;
    return Math.max(0, wait) + jitter(limits, random.fraction());
  };

  const momentOf = (at: number): Date => new Date(clock.now().getTime() + Math.max(0, at - clock.monotonicMs()));
  const next = (): Date => momentOf(dueAt);

  return {
    next,
    isDue: () => clock.monotonicMs() >= dueAt,
    succeeded: (found) => {
      failures = 0;
      lastGoodCheck = clock.now().toISOString();
      lastCheck = { at: lastGoodCheck, ...found };
      dueAt = clock.monotonicMs() + untilScheduled();
    },
    failed: (error, wasCheck) => {
      failures++;
      const after = Number(error.details['retryAfterMs'] ?? 0);
      const delay = retryDelay(limits, failures, random.fraction(), after);
      if (!wasCheck) {
        retryAt = clock.monotonicMs() + Math.min(delay, LONGEST_MS);
        return;
      }
      lastCheck = { at: clock.now().toISOString(), result: error.code, code: error.code };
      // A result that an early retry would not change waits for the usual time.
      dueAt = clock.monotonicMs() + (error.entry.retry === 'never' ? untilScheduled() : delay);
    },
    wake: () => woken.abort(),
    pause: async (state, reason, stop, longestMs = LONGEST_MS) => {
      const now = clock.monotonicMs();
      const polls = state.kind === 'idle' || state.kind === 'staged';
      const until = retryAt ?? (polls ? dueAt : now + (reason === 'the next try' ? limits.backoffMs : RESTART_MS));
      const mostMs = isUnproven(state) ? limits.backoffMs : LONGEST_MS;
      const ms = Math.min(Math.max(0, until - now), longestMs, mostMs);
      await clock.sleep(ms, AbortSignal.any([woken.signal, stop])).catch(() => {});
      retryAt = undefined;
      woken = new AbortController();
    },
    status: () => ({
      ...(lastCheck ? { lastCheck } : {}),
      ...(lastGoodCheck === undefined ? {} : { lastGoodCheck }),
      nextCheck: next().toISOString(),
      ...(retryAt === undefined ? {} : { nextTry: momentOf(retryAt).toISOString() }),
    }),
  };
}

/** The dead man's timer runs, so an obstacle to the proof is retried soon. */
const isUnproven = ({ kind }: State): boolean => kind === 'trial' || kind === 'condemned';

/** The shorter of two waits, if there is one. */
export const soonest = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
