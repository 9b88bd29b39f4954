/** The downtime of a restart, from readings of two clocks. Pure. */

import type { Departure, Downtime, Method } from '../model.ts';

/** The new system's view of its own start. Kernel times are milliseconds since the kernel started. */
export type Arrival = Readonly<{
  bootId: string;
  byKexec: boolean;
  startedMs: number;
  /** When the stop of the previous system was requested, if this kernel's service manager remembers. */
  leftMs?: number;
  /** Both clocks, read at the same time, later. */
  uptimeMs: number;
  now: Date;
}>;

/** The actual restart method. A jump that hangs ends in the boot loader, whatever was intended. */
export function arrivedBy({ method, bootId }: Departure, arrival: Pick<Arrival, 'bootId' | 'byKexec'>): Method {
  if (bootId === arrival.bootId) return 'soft';
  return method === 'kexec' && arrival.byKexec ? 'kexec' : 'firmware';
}

/** Undefined if the new system had started before the old one was left. */
export function downtime(departure: Departure, arrival: Arrival): Downtime | undefined {
  const { startedMs, uptimeMs, now } = arrival;
  if (departure.bootId === arrival.bootId) {
    // systemd records the start of the shutdown more precisely.
    const left = Math.max(departure.uptimeMs, arrival.leftMs ?? 0);
    const ms = Math.round(startedMs - left);
    return ms >= 0 ? { ms, clock: 'exact' } : undefined;
  }
  // Counts back from the present wall clock, which may have been set only after the start.
  const ms = Math.round(now.getTime() - (uptimeMs - startedMs) - Date.parse(departure.at));
  if (ms >= startedMs && ms <= A_DAY_MS) return { ms, clock: 'wall' };
  return { ms: Math.round(startedMs), clock: 'at-least' };
}

/** No restart takes this long, so the clock was changed. */
const A_DAY_MS = 86_400_000;
