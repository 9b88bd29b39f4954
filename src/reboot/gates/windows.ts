/** Maintenance windows and black-outs: their occurrences in their own time zones, and the next opening. Pure. */

import { createHash } from 'node:crypto';
import { cronCalendar } from '../../system/cron.ts';
import { type Closed, closed, type GateVerdict, OPEN } from './gate.ts';
import { openZone, type Zone } from './zone.ts';

export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** A recurring time span, on the days of `days`, `dates` or `cron`; otherwise every day. */
export type Span = Readonly<{
  name: string;
  zone: string;
  days?: readonly Weekday[] | undefined;
  /** `2026-12-24`, or `12-24` for every year. */
  dates?: readonly string[] | undefined;
  /** Five fields, times included. */
  cron?: string | undefined;
  /** `HH:MM`, local time. */
  start: string;
  /** The duration in elapsed time, unaffected by clock changes. */
  minutes: number;
  /** Each host opens at its own time, up to this much after the start. */
  spreadMinutes: number;
}>;

/** The gate is open inside a window (or always, without windows) and outside all black-outs. */
export interface Calendar {
  verdict(now: Date): GateVerdict;
  /** The first open time from `from` on; undefined if there is none within nine years. */
  nextOpening(from: Date): Date | undefined;
  /** While open: when it closes. */
  closing(now: Date): Date | undefined;
}

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** 29 February can be eight years away. */
const HORIZON_DAYS = 9 * 366;
/** The most consecutive windows and black-outs examined before giving up; fewer if there are many. */
const MOST_STEPS = 500;
const LEAST_STEPS = 16;
const MOST_QUESTIONS = 2_000;

/** `machine` gives each host its own time within a window. */
export function createCalendar(
  windows: readonly Span[],
  blackOuts: readonly Span[],
  machine: string | undefined,
): Calendar {
  const open = windows.map((one) => recurrence(one, machine));
  const shut = blackOuts.map((one) => recurrence(one, undefined));
  const nextOpening = (from: Date): Date | undefined => firstOpen(open, shut, from.getTime());
  const closing = (now: Date): Date | undefined => {
    const black = shut.map((one) => one.nextStart(now.getTime())).filter((start) => start !== undefined);
    const first = Math.min(open.length > 0 ? endOfAll(open, now.getTime()) : Infinity, ...black);
    return Number.isFinite(first) ? new Date(first) : undefined;
  };
  return { nextOpening, closing, verdict: (now) => verdict(open, shut, now, nextOpening(now)) };
}

function verdict(
  open: readonly Recurrence[],
  shut: readonly Recurrence[],
  now: Date,
  opening: Date | undefined,
): GateVerdict {
  const at = now.getTime();
  if (opening?.getTime() === at) return OPEN;
  const next: Pick<Closed, 'next'> = opening ? { next: opening } : {};
  const black = shut.find((one) => one.endOf(at) !== undefined);
  // A black-out is a deliberate “not now” and therefore hard; a window only states convenience.
  if (black) return closed('black-out', 'hard', `the black-out “${black.name}” is in effect`, next);
  return closed('window-closed', 'soft', windowText(open), { ...next, command: '`updatectl apply`' });
}

/** Adjacent windows are merged. */
function endOfAll(open: readonly Recurrence[], from: number): number {
  let at = from;
  for (let step = 0; step < stepsFor(open.length); step++) {
    const ends = open.map((one) => one.endOf(at)).filter((end) => end !== undefined);
    if (ends.length === 0) return at;
    at = Math.max(...ends);
  }
  return Infinity;
}

const windowText = (open: readonly Recurrence[]): string =>
  open.length === 1 ? `the maintenance window “${open[0]?.name}” is not open` : 'no maintenance window is open';

function firstOpen(open: readonly Recurrence[], shut: readonly Recurrence[], from: number): Date | undefined {
  let at = from;
  for (let step = 0; step < stepsFor(open.length + shut.length); step++) {
    const black = shut.map((one) => one.endOf(at)).filter((end) => end !== undefined);
    if (black.length > 0) {
      at = Math.max(...black);
      continue;
    }
    if (open.length === 0 || open.some((one) => one.endOf(at) !== undefined)) return new Date(at);
    const starts = open.map((one) => one.nextStart(at)).filter((start) => start !== undefined);
    if (starts.length === 0) return undefined;
    at = Math.min(...starts);
  }
  return undefined;
}

const stepsFor = (spans: number): number =>
  Math.min(MOST_STEPS, Math.max(LEAST_STEPS, Math.floor(MOST_QUESTIONS / Math.max(1, spans))));

interface Recurrence {
  readonly name: string;
  /** The end of the occurrence that contains `at`; the latest if there are several. */
  endOf(at: number): number | undefined;
  nextStart(at: number): number | undefined;
}

function recurrence(span: Span, machine: string | undefined): Recurrence {
  const zone = openZone(span.zone);
  const calendar = daysOf(span);
  const delay = Math.floor(fraction(span, machine) * span.spreadMinutes) * MINUTE;
  const length = span.minutes * MINUTE;
  const { minutes } = calendar;
  const startOn = (day: number, index: number): number | undefined => {
    const minute = minutes[index];
    return minute === undefined ? undefined : zone.momentOf(day + minute * MINUTE) + delay;
  };
  /** The number of starts of a day up to `at`. There may be one per minute, in order. */
  const startsUntil = (day: number, at: number): number => {
    let [low, high] = [0, minutes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((startOn(day, middle) ?? Infinity) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    name: span.name,
    endOf: (at) => {
      const today = dayOf(zone, at);
      for (let day = today + 2 * DAY; day >= today - length - 2 * DAY; day -= DAY) {
        if (!calendar.names(day)) continue;
        const started = startOn(day, startsUntil(day, at) - 1);
        if (started !== undefined) return at < started - delay + length ? started - delay + length : undefined;
      }
      return undefined;
    },
    nextStart: (at) => {
      const first = dayOf(zone, at - delay) - 2 * DAY;
      for (let day = first; day < first + HORIZON_DAYS * DAY; day += DAY) {
        const start = calendar.names(day) ? startOn(day, startsUntil(day, at)) : undefined;
        if (start !== undefined) return start;
      }
      return undefined;
    },
  };
}

type Days = Readonly<{ names(day: number): boolean; minutes: readonly number[] }>;

function daysOf({ days, dates, cron, start }: Span): Days {
  if (cron !== undefined) {
    const { namesDay, minutes } = cronCalendar(cron);
    return { names: namesDay, minutes };
  }
  const [hour = 0, minute = 0] = start.split(':').map(Number);
  const minutes = [hour * 60 + minute];
  if (dates) {
    const named = new Set(dates);
    return {
      minutes,
      names: (day) => {
        const date = new Date(day).toISOString().slice(0, 10);
        return named.has(date) || named.has(date.slice(5));
      },
    };
  }
  if (days) return { minutes, names: (day) => days.some((one) => WEEKDAYS[new Date(day).getUTCDay()] === one) };
  return { minutes, names: () => true };
}

/** A number in [0, 1), constant for a host and window. */
function fraction({ name, zone, start }: Span, machine: string | undefined): number {
  if (machine === undefined) return 0;
  const digest = createHash('sha256')
    .update(JSON.stringify([machine, name, zone, start]))
    .digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}

const dayOf = (zone: Zone, moment: number): number => Math.floor(zone.wallOf(moment) / DAY) * DAY;
