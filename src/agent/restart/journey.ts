/** The restart from one system to the next, as the history records it. */

import type { Departure } from '../../model.ts';
import { awaitStarted } from '../../reboot/arrival.ts';
import { arrivedBy, downtime } from '../../reboot/downtime.ts';
import { kexecsOf } from '../../reboot/methods/host-facts.ts';
import { type Clock, kernelUptimeMs } from '../../system/clock.ts';
import { type Files, readText } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import type { Journey } from '../loop/journal.ts';

type JourneyWorld = Readonly<{
  exec: Exec;
  files: Pick<Files, 'read'>;
  clock: Pick<Clock, 'now' | 'sleep'>;
  signal: AbortSignal;
}>;

/** Called in the new system; waits until it has started, since only then the duration is known. */
export async function journeyFrom(
  departure: Departure,
  bootId: string,
  { exec, files, clock, signal }: JourneyWorld,
  uptimeMs: () => number = kernelUptimeMs,
): Promise<Journey> {
  const byKexec = kexecsOf(await readText(files, '/proc/cmdline')) > 0;
  const started = await awaitStarted(exec, clock, signal);
  const arrival = { bootId, byKexec, now: clock.now(), uptimeMs: uptimeMs() };
  const method = arrivedBy(departure, arrival);
  // It hung, or led into a trial that ended: services may have run in between, so the downtime is unknown.
  if (method !== departure.method)
    return { method, methodReason: `${departure.method} was used, but did not lead here` };
  const known = started && downtime(departure, { ...arrival, ...started });
  return { method, methodReason: departure.reason, ...(known ? { downtime: known } : {}) };
}
