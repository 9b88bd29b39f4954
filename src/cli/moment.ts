/** Moments as people type them. */

import { UpdateError } from '../errors.ts';

/** A moment like `2030-01-31T00:00:00Z` on a day that exists: Node.js would read 31 November as 1 December. */
export function momentFrom(option: string, text: string): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text))
    throw new UpdateError('usage', `${option} takes a time like 2030-01-31T00:00:00Z, not “${text}”.`);
  const date = new Date(text);
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 19) !== text.slice(0, 19))
    throw new UpdateError('usage', `${option} ${text}: no such time exists.`);
  return text;
}
