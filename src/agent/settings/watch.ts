/** Follows the fleet settings: reads them, listens for a change, and reads them again. */

import type { Clock } from '../../system/clock.ts';
import type { Etcd } from '../../system/etcd/etcd.ts';
import type { Heard } from '../../system/etcd/watch.ts';
import type { Random } from '../../system/random.ts';
import { retryDelay } from '../find/poll-plan.ts';

export type FleetWatchWorld = Readonly<{
  etcd: Pick<Etcd, 'watch'>;
  prefix: string;
  clock: Clock;
  random: Random;
  /** Returns the revision of the read. */
  read(): Promise<string>;
  failed(failure: unknown): void;
}>;

/** Until the signal; never throws. If listening fails, it reads at growing intervals. */
export async function followFleet(world: FleetWatchWorld, stop: AbortSignal): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    const heard = await readAndListen(world, stop);
    if (stop.aborted) return;
    failures = heard === 'failure' ? failures + 1 : 0;
    const ms = pauseMs(heard, failures, world.random.fraction());
    if (ms > 0) await world.clock.sleep(ms, stop).catch(() => {});
  }
}

type Ending = Heard | 'nothing' | 'failure';

/** The shortest interval between reads, however many changes arrive. */
const LEAST_MS = 1_000;
/** All hosts see a change at the same moment, so their reads are spread over this time. */
const SPREAD_MS = 4_000;
const RETRY = { jitterMs: 0, backoffMs: 5_000, backoffLimitMs: 5 * 60_000 };
/** A watch that is silent for longer is considered dead. */
const SILENCE_MS = 10 * 60_000;

function pauseMs(heard: Ending, failures: number, fraction: number): number {
  if (heard === 'failure') return retryDelay(RETRY, failures, fraction, LEAST_MS);
  return heard === 'nothing' ? 0 : LEAST_MS + SPREAD_MS * fraction;
}

async function readAndListen(world: FleetWatchWorld, stop: AbortSignal): Promise<Ending> {
  try {
    return await listen(world, await world.read(), stop);
  } catch (failure) {
    if (!stop.aborted) world.failed(failure);
    return 'failure';
  }
}

async function listen(
  { etcd, prefix, clock, random }: FleetWatchWorld,
  revision: string,
  stop: AbortSignal,
): Promise<Heard | 'nothing'> {
  const over = new AbortController();
  const ends = AbortSignal.any([stop, over.signal]);
  let isSilent = false;
  clock.sleep((SILENCE_MS * (1 + random.fraction())) / 2, ends).then(
    () => {
      isSilent = true;
      over.abort();
    },
    () => {},
  );
  try {
    return await etcd.watch(prefix, revision, ends);
  } catch (error) {
    if (isSilent) return 'nothing';
    throw error;
  } finally {
    over.abort();
  }
}
