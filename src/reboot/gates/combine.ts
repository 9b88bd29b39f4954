/** All gates together: a reboot happens when nobody objects, or when only soft objections are left and they are overridden. Pure. */

import type { Closed, GateVerdict } from './gate.ts';

/** What overrides soft gates. */
export type Override = 'apply' | 'deadline';

export type Combined = Readonly<{
  open: boolean;
  /** Who objects; with an override, those who are not heard are in `overridden`. */
  closed: readonly Closed[];
  overridden: readonly Closed[];
  override?: Override;
  /** The earliest moment at which all may be open; absent when one of them cannot say. */
  next?: Date;
}>;

/** Nobody is forgotten: every objection is in one of the two lists. */
export function combine(verdicts: readonly GateVerdict[], override?: Override): Combined {
  const objections = verdicts.filter((one) => !one.ok);
  const isHeard = (one: Closed): boolean => one.strength === 'hard' || override === undefined;
  const heard = objections.filter(isHeard);
  const overridden = objections.filter((one) => !isHeard(one));
  const next = latest(heard);
  return {
    open: heard.length === 0,
    closed: heard,
    overridden,
    ...(override !== undefined && overridden.length > 0 ? { override } : {}),
    ...(next ? { next } : {}),
  };
}

/** The one sentence that `status` and the loop use. */
export const reasonOf = ({ closed }: Combined): string => closed.map(({ reason }) => reason).join('; ');

/** When to ask again: at the earliest moment at which any of them may say something else. */
export function earliest(closed: readonly Closed[]): Date | undefined {
  const times = closed.flatMap(({ next }) => (next ? [next.getTime()] : []));
  return times.length > 0 ? new Date(Math.min(...times)) : undefined;
}

function latest(closed: readonly Closed[]): Date | undefined {
  const times = closed.map(({ next }) => next?.getTime());
  if (times.length === 0 || times.some((time) => time === undefined)) return undefined;
  return new Date(Math.max(...times.filter((time) => time !== undefined)));
}
