/** Windows and black-outs in the configuration: validated strictly, every fault with its location. */

import { list, literal, object, optional, text } from '../../formats/shape.ts';
import { isCron } from '../../system/cron.ts';
import { type Span, WEEKDAYS } from './windows.ts';
import { openZone } from './zone.ts';

/** Reads a list of tables; the fault continues a sentence that starts with the key. */
export function spansOf(value: unknown, kind: 'window' | 'black_out'): { spans: readonly Span[] } | { fault: string } {
  if (!Array.isArray(value) || value.length > MOST || !value.every(isTable))
    return { fault: `must be a list of at most ${MOST} tables` };
  try {
    return { spans: value.map((one, index) => spanOf(written(one, `${kind}[${index}]`), `${kind}[${index}]`, kind)) };
  } catch (error) {
    return { fault: `is wrong: ${error instanceof Error ? error.message : String(error)}` };
  }
}

const MOST = 64;
const MINUTES: Readonly<Record<string, number>> = { m: 1, h: 60, d: 1440 };
const LONGEST = { window: 7 * 1440, black_out: 366 * 1440 } as const;

const time = text(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time like "02:30"');
const lasting = text(/^[1-9]\d{0,4}[mhd]$/, 'a duration like "90m", "4h" or "14d"');
const date = text(
  /^(\d{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/,
  'a date like "2026-12-24", or "12-24" for every year',
);
const written = object({
  name: optional(text(/^[\x20-\x7e]{1,64}$/, 'a name of at most 64 characters')),
  zone: optional(text(/^[A-Za-z0-9_+/-]{1,64}$/, 'a time zone like "Europe/Berlin"')),
  days: optional(list(literal(...WEEKDAYS), 7)),
  dates: optional(list(date, 366)),
  cron: optional(text(/^[\x20-\x7e]{9,200}$/, 'a cron expression of five fields')),
  start: optional(time),
  duration: lasting,
  spread: optional(text(/^(0|[1-9]\d{0,4})[mhd]$/, 'a duration like "30m"')),
});

type Written = ReturnType<typeof written>;

function spanOf(one: Written, path: string, kind: 'window' | 'black_out'): Span {
  const { name = path, zone = 'Etc/UTC', days, dates, cron, start, duration, spread } = one;
  const must = (holds: boolean, key: string, wanted: string): void => {
    if (!holds) throw new TypeError(`${path}.${key} must be ${wanted}`);
  };
  const minutes = minutesOf(duration);
  // Leaves half of the window to the last host.
  const spreadMinutes = kind === 'black_out' ? 0 : spread === undefined ? Math.floor(minutes / 2) : minutesOf(spread);
  must(isZone(zone), 'zone', `a time zone of the time zone database, like "Europe/Berlin", not “${zone}”`);
  must(days === undefined || dates === undefined, 'dates', 'absent where days are given');
  must(cron === undefined || !(days ?? dates ?? start), 'cron', 'alone: it names days and times itself');
  must(cron === undefined || isCron(cron), 'cron', `a cron expression of five fields, not “${cron}”`);
  must(minutes <= LONGEST[kind], 'duration', `at most ${LONGEST[kind] / 1440} days`);
  must(spreadMinutes < minutes, 'spread', 'shorter than the window');
  must(kind === 'window' || spread === undefined, 'spread', 'absent: a black-out is the same for all');
  return { name, zone, days, dates, cron, start: start ?? '00:00', minutes, spreadMinutes };
}

const isTable = (one: unknown): boolean => typeof one === 'object' && one !== null && !Array.isArray(one);

const minutesOf = (duration: string): number => Number(duration.slice(0, -1)) * (MINUTES[duration.slice(-1)] ?? 0);

function isZone(name: string): boolean {
  try {
    openZone(name);
    return true;
  } catch {
    return false;
  }
}
