/** Time: the only module that reads clocks. Everything else takes time as an argument. */

import { setTimeout as sleep } from 'node:timers/promises';

export interface Clock {
  /** Wall-clock time. */
  now(): Date;
  /** Milliseconds since an arbitrary moment; monotonic. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason if aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Milliseconds since the kernel started, by the clock of systemd's unit timestamps. */
export const kernelUptimeMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

export const realClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
};
