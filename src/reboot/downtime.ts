/** How long nothing ran, from two readings of two clocks. Pure. */

import type { Departure, Downtime, Method } from '../model.ts';

/** What the next system knows of its own start. Times of the kernel's clock are in milliseconds since it started. */
export type Arrival = Readonly<{
  bootId: string;
  /** The kernel was started by kexec. */
  byKexec: boolean;
  /** When the system had started. */
  startedMs: number;
  /** When the system before was told to stop, if this kernel's service manager remembers. */
  leftMs?: number;
  /** Both clocks at one moment after that. */
  uptimeMs: number;
  now: Date;
}>;

/** How the machine got here. A jump that hung ends in the boot loader, whatever was meant. */
export function arrivedBy({ method, bootId }: Departure, arrival: Pick<Arrival, 'bootId' | 'byKexec'>): Method {
  if (bootId === arrival.bootId) return 'soft';
  return method === 'kexec' && arrival.byKexec ? 'kexec' : 'firmware';
}

/** Undefined when the system that has arrived had started before it was left. */
export function downtime(departure: Departure, arrival: Arrival): Downtime | undefined {
  const { startedMs, uptimeMs, now } = arrival;
  if (departure.bootId === arrival.bootId) {
    // systemd knows better than we do when it began to stop what ran.
    const left = Math.max(departure.uptimeMs, arrival.leftMs ?? 0);
    const ms = Math.round(startedMs - left);
    return ms >= 0 ? { ms, clock: 'exact' } : undefined;
  }
  // The present wall clock, counted back: one that was set right after the start is right by now.
  const ms = Math.round(now.getTime() - (uptimeMs - startedMs) - Date.parse(departure.at));
  if (ms >= startedMs && ms <= A_DAY_MS) return { ms, clock: 'wall' };
  return { ms: Math.round(startedMs), clock: 'at-least' };
}

/** No restart takes that long, so the clock was set. */
const A_DAY_MS = 86_400_000;
