/** What the clock may not show: a time before what this host believes was signed. Pure. */

import { UpdateError } from '../errors.ts';
import { utcText } from '../utc.ts';
import type { Floors } from './floors.ts';

/** The latest moment that is known to have passed; undefined where none is, or an operator has said that the clock is right. */
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

/** Refuses a clock by which metadata that has expired would still be good. */
export function checkClock(floor: string | undefined, now: Date): void {
  if (floor === undefined || now.getTime() >= Date.parse(floor) - SLACK_MS) return;
  const shown = utcText(now);
  throw new UpdateError('clock-not-set', `The local clock shows ${shown}, but it must be later than ${floor}.`);
}

/**
 * A document's time of signing as a floor: no later than now, so that neither a publisher whose clock is ahead nor a host whose clock once was can
 * keep a host from its updates.
 */
export function issuedBy(document: Uint8Array, now: Date): string | undefined {
  const issued = issuedIn(document);
  const shown = utcText(now);
  return issued !== undefined && issued > shown ? shown : issued;
}

// Clocks that differ by a little must not stop updates.
const SLACK_MS = 86_400_000;

/** Of a document that was checked before. */
const issuedIn = (document: Uint8Array): string | undefined =>
  (JSON.parse(Buffer.from(document).toString('utf8')) as { signed: { issued?: string } }).signed.issued;
