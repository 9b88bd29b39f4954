/** The limits of a rollout, in sentences. */

import type { Limits } from '../../rollout/brake.ts';

/** A fleet server's reaction to failures. */
export const brakeText = ({ maxFailures }: Pick<Limits, 'maxFailures'>): string =>
  Number.isFinite(maxFailures)
    ? `More than ${maxFailures} failure${maxFailures === 1 ? '' : 's'} pull the brake of a fleet server (--max-failures).`
    : 'There is no brake: the rollout continues however many hosts fail.';

/** The short form, with the number of hosts that may update at once. */
export function limitsText({ maxInFlight, maxFailures }: Limits): string {
  const atOnce = Number.isFinite(maxInFlight) ? `at most ${maxInFlight} at once` : 'any number at once';
  const brake = Number.isFinite(maxFailures) ? `more than ${maxFailures} failures pull the brake` : 'no brake';
  return `${atOnce}; ${brake}`;
}
