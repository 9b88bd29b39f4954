/** Spans of time as people type them. */

import { UpdateError } from '../errors.ts';

const MINUTES: Readonly<Record<string, number>> = { m: 1, h: 60, d: 1440, w: 10_080 };

/** Minutes of a text like `90m`, `36h`, `2d` or `1w`. */
export function minutesFrom(option: string, text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([mhdw])$/.exec(text) ?? [];
  const minutes = MINUTES[unit];
  if (count === undefined || minutes === undefined)
    throw new UpdateError('usage', `${option} takes a time like 90m, 36h, 2d or 1w, not “${text}”.`);
  return Number(count) * minutes;
}

/** The largest two units of a span. */
export function durationText(minutes: number): string {
  const whole = Math.round(minutes);
  const [days, hours, rest] = [Math.floor(whole / 1440), Math.floor(whole / 60) % 24, whole % 60];
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return rest > 0 ? `${hours} h ${rest} min` : `${hours} h`;
  return `${rest} min`;
}
