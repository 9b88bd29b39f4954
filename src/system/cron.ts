/** Calendar schedules: the only importer of node-cron. */

import { createTask, parse, validate } from 'node-cron';
import { UpdateError } from '../errors.ts';

export interface Schedule {
  /** The next time of the schedule. */
  next(): Date | undefined;
}

/** Calls `onDue` at each time of a cron expression in UTC, until the signal aborts; its timer would otherwise keep the process alive. */
export function startSchedule(expression: string, onDue: () => void, signal: AbortSignal): Schedule {
  if (!isValid(expression)) throw new UpdateError('config-invalid', `“${expression}” is not a cron expression.`);
  const task = createTask(expression, onDue, { timezone: 'Etc/UTC' });
  void task.start();
  signal.addEventListener('abort', () => void task.destroy(), { once: true });
  return { next: () => task.getNextRun() ?? undefined };
}

/** A cron expression as a calendar: its days, and the times on them. Without a zone: days and times are local. */
export interface CronCalendar {
  /** `wall`: any time of the day, as counted by `Date.UTC`. */
  namesDay(wall: number): boolean;
  /** Minutes since midnight, ascending. */
  readonly minutes: readonly number[];
}

/** Takes five fields; a calendar has no seconds. */
export function cronCalendar(expression: string): CronCalendar {
  if (!isCron(expression)) throw new UpdateError('config-invalid', `“${expression}” is not a cron expression.`);
  const { hour, minute, dayOfMonth, month } = parse(expression);
  const all = [...new Set(hour)].flatMap((one) => [...new Set(minute)].map((other) => one * 60 + other));
  const minutes = all.sort((a, b) => a - b);
  const [first = 0] = minutes;
  const task = createTask(expression, () => {}, { timezone: 'Etc/UTC' });
  // Never started, only queried. Removed from the package's list of tasks at once, because nothing will stop it.
  void task.destroy();
  // Cached: thousands of consecutive days are queried, and the package is slow for each.
  const dates = new Set<unknown>(dayOfMonth);
  const isPlain = dayOfMonth.every((one) => typeof one === 'number');
  const mayName = (date: Date): boolean =>
    month.includes(date.getUTCMonth() + 1) && (!isPlain || dates.has(date.getUTCDate()));
  const momentOn = (wall: number): Date => new Date(Math.floor(wall / DAY) * DAY + first * 60_000);
  return { minutes, namesDay: (wall) => mayName(momentOn(wall)) && task.match(momentOn(wall)) };
}

/** Whether `startSchedule` accepts it. */
export const isScheduleExpression = (expression: string): boolean =>
  isValid(expression) && /^(\S+ ){4,5}\S+$/.test(expression);

/** Whether this is a cron expression of five fields. */
export const isCron = (expression: string): boolean =>
  isValid(expression) && expression.trim().split(/\s+/).length === 5;

/** The package expands ranges before it checks their bounds: "0-9999999999" would exhaust memory. */
const isValid = (expression: string): boolean =>
  expression.length <= 200 && !/\d{3}/.test(expression) && validate(expression);

const DAY = 86_400_000;
