/** The ramp: how the share of hosts that may install a release grows over time. Pure. */

import { createHash } from 'node:crypto';
import type { MachineId, Version } from '../model.ts';

export type Ramp = Readonly<{ durationMs: number; steps: number }>;

/** The share of hosts (0 to 1) at a time after the start of the ramp, in milliseconds; monotonic. */
export function shareAt({ durationMs, steps }: Ramp, elapsedMs: number): number {
  if (elapsedMs < 0) return 0;
  if (elapsedMs >= durationMs) return 1;
  const done = elapsedMs / durationMs;
  return steps === 0 ? done : (Math.floor(done * steps) + 1) / steps;
}

/** The time, in milliseconds after the start of the ramp, when the turn `share` in [0, 1) comes: the first at which `shareAt` exceeds it. */
export function timeOfShare({ durationMs, steps }: Ramp, share: number): number {
  if (durationMs <= 0) return 0;
  const estimate = steps === 0 ? share * durationMs : (Math.floor(share * steps) / steps) * durationMs;
  // Rounding can make the estimate slightly early or late.
  const first = Math.max(0, Math.floor(estimate) - 1);
  for (let time = first; time < first + 4; time += 1) if (shareAt({ durationMs, steps }, time) > share) return time;
  return durationMs;
}

/** The host's place in [0, 1), 0 first; different for each release, so that not always the same hosts go first. */
export function turnOf(machine: MachineId, version: Version): number {
  const digest = createHash('sha256').update(`tandem turn\0${version}\0${machine}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
