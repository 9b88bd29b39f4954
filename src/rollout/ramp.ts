/** How the share of hosts that may have a release grows with time. Pure. */

export type Ramp = Readonly<{ durationMs: number; steps: number }>;

/** The share (0 to 1) that may have it so long after the ramp began; never falls as time goes on. */
export function shareAt({ durationMs, steps }: Ramp, elapsedMs: number): number {
  if (elapsedMs < 0) return 0;
  if (elapsedMs >= durationMs) return 1;
  const done = elapsedMs / durationMs;
  return steps === 0 ? done : (Math.floor(done * steps) + 1) / steps;
}

/** How long after the ramp began a host whose turn is `share` (0 to 1, 1 left out) gets it: the first moment at which `shareAt` is more. */
export function timeOfShare({ durationMs, steps }: Ramp, share: number): number {
  if (durationMs <= 0) return 0;
  const estimate = steps === 0 ? share * durationMs : (Math.floor(share * steps) / steps) * durationMs;
  // Rounding may leave the estimate a moment early or late.
  const first = Math.max(0, Math.floor(estimate) - 1);
  for (let time = first; time < first + 4; time += 1) if (shareAt({ durationMs, steps }, time) > share) return time;
  return durationMs;
}
