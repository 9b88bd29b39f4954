/** The clock floor: times that the clock must not show, because they precede known signatures. Pure. */

import { UpdateError } from '../errors.ts';
import { utcText } from '../utc.ts';
import type { Floors } from './floors.ts';

/** The latest time known to have passed; undefined if there is none, or an operator has confirmed the clock. */
export function clockFloor(
  root: Uint8Array,
  { issued, waived = '' }: Pick<Floors, 'issued' | 'waived'>,
): string | undefined {
  const [latest] = [issuedIn(root), issued]
    .filter((one) => one !== undefined && one > waived)
    .sort()
    .reverse();
  return latest;
}

/** Throws if the clock is so far behind that expired metadata would still seem valid. */
export function checkClock(floor: string | undefined, now: Date): void {
  if (floor === undefined || now.getTime() >= Date.parse(floor) - SLACK_MS) return;
  const shown = utcText(now);
  throw new UpdateError('clock-not-set', `The local clock shows ${shown}, but it must be later than ${floor}.`);
}

/** A document's signing time as a floor: at most now, so that a publisher's or host's clock that was ahead cannot block updates. */
export function issuedBy(document: Uint8Array, now: Date): string | undefined {
  const issued = issuedIn(document);
  const shown = utcText(now);
  return issued !== undefined && issued > shown ? shown : issued;
}

// Tolerates small differences between clocks.
const SLACK_MS = 86_400_000;

/** Of a document that was already checked. */
const issuedIn = (document: Uint8Array): string | undefined =>
  (JSON.parse(Buffer.from(document).toString('utf8')) as { signed: { issued?: string } }).signed.issued;
