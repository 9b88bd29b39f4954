/** The deadline: how long soft gates may keep a staged release waiting. Pure. */

const DAY = 86_400_000;

/** When soft gates are no longer heard; undefined without a deadline. `days` of 0 is none. */
export const rebootBy = (since: Date, days: number): Date | undefined =>
  days === 0 ? undefined : new Date(since.getTime() + days * DAY);

/** Whether it has passed. */
export const isOverdue = (by: Date | undefined, now: Date): boolean => by !== undefined && now >= by;
