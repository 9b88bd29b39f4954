/** Runs all probes in parallel and decides whether the system on trial passes. */

import type { Verdict } from '../../model.ts';
import type { Clock } from '../../system/clock.ts';
import type { Probe } from './probe.ts';

/** One sentence each, starting with the probe's name. */
export type Health = Readonly<{ ok: boolean; failures: readonly string[]; warnings: readonly string[] }>;

/** A probe that throws, or still runs after `timeoutMs`, has failed. Rejects only if `signal` aborts, without a verdict. */
export async function runProbes(
  probes: readonly Probe[],
  options: Readonly<{ clock: Clock; timeoutMs: number; signal: AbortSignal }>,
): Promise<Health> {
  const results = await Promise.all(probes.map((probe) => runProbe(probe, options)));
  options.signal.throwIfAborted();
  const sentences = (required: boolean): string[] =>
    probes.flatMap((probe, index) => {
      const result = results[index];
      return probe.required === required && result && !result.ok ? [`${probe.name}: ${result.reason}`] : [];
    });
  const failures = sentences(true);
  return { ok: failures.length === 0, failures, warnings: sentences(false) };
}

async function runProbe(
  probe: Probe,
  { clock, timeoutMs, signal }: Readonly<{ clock: Clock; timeoutMs: number; signal: AbortSignal }>,
): Promise<Verdict> {
  const ended = new AbortController();
  const stop = AbortSignal.any([signal, ended.signal]);
  try {
    // A race, because a hanging probe may ignore its signal too.
    return await Promise.race([probe.run(stop), tooLong(clock, timeoutMs, stop)]);
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  } finally {
    ended.abort();
  }
}

async function tooLong(clock: Clock, timeoutMs: number, signal: AbortSignal): Promise<Verdict> {
  await clock.sleep(timeoutMs, signal);
  return { ok: false, reason: `still running after ${Math.round(timeoutMs / 1000)} s` };
}
