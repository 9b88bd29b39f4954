/** The deadline: how long soft gates may delay a staged release. Pure. */

const DAY = 86_400_000;

/** When soft gates are overridden; undefined without a deadline, that is with `days` 0. */
export const rebootBy = (since: Date, days: number): Date | undefined =>
  days === 0 ? undefined : new Date(since.getTime() + days * DAY);

export const isOverdue = (by: Date | undefined, now: Date): boolean => by !== undefined && now >= by;
