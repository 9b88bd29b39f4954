/** Calendar schedules: the only importer of node-cron. */

import { createTask, parse, validate } from 'node-cron';
import { UpdateError } from '../errors.ts';

export interface Schedule {
  /** The next moment the schedule names. */
  next(): Date | undefined;
}

/** Calls `onDue` at each moment that a cron expression names, in UTC, until the signal: its timer would keep the process alive. */
export function startSchedule(expression: string, onDue: () => void, signal: AbortSignal): Schedule {
  if (!isValid(expression)) throw new UpdateError('config-invalid', `“${expression}” is not a cron expression.`);
  const task = createTask(expression, onDue, { timezone: 'Etc/UTC' });
  void task.start();
  signal.addEventListener('abort', () => void task.destroy(), { once: true });
  return { next: () => task.getNextRun() ?? undefined };
}

/** A cron expression as a calendar: which days it names, and which times on them. Knows no zone: days and times are those on a wall. */
export interface CronCalendar {
  /** `wall` is any moment of the day, as `Date.UTC` counts it. */
  namesDay(wall: number): boolean;
  /** Minutes since midnight, ascending. */
  readonly minutes: readonly number[];
}

/** Reads five fields; seconds have no place in a calendar. */
export function cronCalendar(expression: string): CronCalendar {
  if (!isCron(expression)) throw new UpdateError('config-invalid', `“${expression}” is not a cron expression.`);
  const { hour, minute, dayOfMonth, month } = parse(expression);
  const all = [...new Set(hour)].flatMap((one) => [...new Set(minute)].map((other) => one * 60 + other));
  const minutes = all.sort((a, b) => a - b);
  const [first = 0] = minutes;
  const task = createTask(expression, () => {}, { timezone: 'Etc/UTC' });
  // Never started: only asked. Out of the package's list of tasks at once, since nobody will stop it.
  void task.destroy();
  // Asked of thousands of days in a row, of which the package would look at each for long.
  const dates = new Set<unknown>(dayOfMonth);
  const isPlain = dayOfMonth.every((one) => typeof one === 'number');
  const mayName = (date: Date): boolean =>
    month.includes(date.getUTCMonth() + 1) && (!isPlain || dates.has(date.getUTCDate()));
  const momentOn = (wall: number): Date => new Date(Math.floor(wall / DAY) * DAY + first * 60_000);
  return { minutes, namesDay: (wall) => mayName(momentOn(wall)) && task.match(momentOn(wall)) };
}

/** Whether `startSchedule` takes it. */
export const isScheduleExpression = (expression: string): boolean =>
  isValid(expression) && /^(\S+ ){4,5}\S+$/.test(expression);

/** Whether this is a cron expression of five fields. */
export const isCron = (expression: string): boolean =>
  isValid(expression) && expression.trim().split(/\s+/).length === 5;

/** The package writes ranges out before it looks at their bounds: "0-9999999999" would take all memory. */
const isValid = (expression: string): boolean =>
  expression.length <= 200 && !/\d{3}/.test(expression) && validate(expression);

const DAY = 86_400_000;
