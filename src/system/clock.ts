/** Time: the only place that asks for it. Everything else takes it as an argument. */

import { setTimeout as sleep } from 'node:timers/promises';

export interface Clock {
  /** Wall-clock time. */
  now(): Date;
  /** Milliseconds since an arbitrary moment; never jumps. */
  monotonicMs(): number;
  /** Resolves after `ms`, rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Milliseconds since the kernel was started, by the clock that systemd dates units with. */
export const kernelUptimeMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

export const realClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
};
