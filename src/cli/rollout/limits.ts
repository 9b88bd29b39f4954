/** The limits of a rollout, in sentences. */

import type { Limits } from '../../rollout/brake.ts';

/** What a fleet server does when hosts fail. */
export const brakeText = ({ maxFailures }: Pick<Limits, 'maxFailures'>): string =>
  Number.isFinite(maxFailures)
    ? `More than ${maxFailures} failure${maxFailures === 1 ? '' : 's'} pull the brake of a fleet server (--max-failures).`
    : 'There is no brake: however many hosts fail, the rollout goes on.';

/** The same in short, with how many may be under way. */
export function limitsText({ maxInFlight, maxFailures }: Limits): string {
  const atOnce = Number.isFinite(maxInFlight) ? `at most ${maxInFlight} at once` : 'any number at once';
  const brake = Number.isFinite(maxFailures) ? `more than ${maxFailures} failures pull the brake` : 'no brake';
  return `${atOnce}; ${brake}`;
}
