/** Combines all gates: the reboot happens when no gate is closed, or only soft ones that are overridden. Pure. */

import type { Closed, GateVerdict } from './gate.ts';

/** The reason why soft gates are overridden. */
export type Override = 'apply' | 'deadline';

export type Combined = Readonly<{
  open: boolean;
  /** The closed gates; overridden ones are in `overridden`. */
  closed: readonly Closed[];
  overridden: readonly Closed[];
  override?: Override;
  /** The earliest time at which all gates may be open; absent if one of them cannot tell. */
  next?: Date;
}>;

/** Every closed gate is in one of the two lists. */
export function combine(verdicts: readonly GateVerdict[], override?: Override): Combined {
  const objections = verdicts.filter((one) => !one.ok);
  const isBlocking = (one: Closed): boolean => one.strength === 'hard' || override === undefined;
  const blocking = objections.filter(isBlocking);
  const overridden = objections.filter((one) => !isBlocking(one));
  const next = latest(blocking);
  return {
    open: blocking.length === 0,
    closed: blocking,
    overridden,
    ...(override !== undefined && overridden.length > 0 ? { override } : {}),
    ...(next ? { next } : {}),
  };
}

/** The sentence shown by `status` and used by the loop. */
export const reasonOf = ({ closed }: Combined): string => closed.map(({ reason }) => reason).join('; ');

/** When to ask again: the earliest time at which a gate may change. */
export function earliest(closed: readonly Closed[]): Date | undefined {
  const times = closed.flatMap(({ next }) => (next ? [next.getTime()] : []));
  return times.length > 0 ? new Date(Math.min(...times)) : undefined;
}

function latest(closed: readonly Closed[]): Date | undefined {
  const times = closed.map(({ next }) => next?.getTime());
  if (times.length === 0 || times.some((time) => time === undefined)) return undefined;
  return new Date(Math.max(...times.filter((time) => time !== undefined)));
}

/** The deadline: when soft gates are overridden; undefined without one, that is with `days` 0. */
export const rebootBy = (since: Date, days: number): Date | undefined =>
  days === 0 ? undefined : new Date(since.getTime() + days * DAY);

export const isOverdue = (by: Date | undefined, now: Date): boolean => by !== undefined && now >= by;

const DAY = 86_400_000;
