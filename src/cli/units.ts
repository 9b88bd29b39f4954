/** Bytes, durations and moments as people read them. Pure. */

import type { Downtime } from '../model.ts';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `1.4 GB`: decimal units, three digits at most. */
export function bytes(count: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  const value = count / 1000 ** power;
  return `${value.toFixed(power > 0 && value < 100 ? 1 : 0)} ${UNITS[power]}`;
}

/** `1 h 05 min`, `2 min 09 s`, `7 s`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** `0.62 s`, `about 17.1 s`, `at least 14.0 s`. */
export function downtimeText({ ms, clock }: Downtime): string {
  const time = ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s` : duration(ms);
  return { exact: time, wall: `about ${time}`, 'at-least': `at least ${time}` }[clock];
}

/** `3 min 10 s ago`, `in 5 min 00 s`; the moment itself when it is unknown. */
export function relative(moment: string, now: Date): string {
  const distance = new Date(moment).getTime() - now.getTime();
  if (Number.isNaN(distance)) return moment;
  return distance > 0 ? `in ${duration(distance)}` : `${duration(-distance)} ago`;
}

const two = (value: number): string => String(value).padStart(2, '0');
