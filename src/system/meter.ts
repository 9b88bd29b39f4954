/** Measures how fast a download is, so that the next one can be estimated. */

import type { Clock } from './clock.ts';

export interface Meter {
  add(bytes: number): void;
  /** Bytes a second from the start to the last byte; undefined while too little has come to say. */
  rate(): number | undefined;
}

/** A meter for one download, which begins now. */
export function createMeter(clock: Pick<Clock, 'monotonicMs'>): Meter {
  const began = clock.monotonicMs();
  let last = began;
  let total = 0;
  return {
    add: (bytes) => {
      total += bytes;
      last = clock.monotonicMs();
    },
    rate: () => (total < LEAST_BYTES || last - began < LEAST_MS ? undefined : (total * 1000) / (last - began)),
  };
}

// Less than this is mostly the opening of connections.
const LEAST_BYTES = 256 * 1024;
const LEAST_MS = 10;
