/** The semaphore as bytes: bounded, checked before it is believed, and never written over when it is not understood. */

import { CLEAN_LINE, cleanLine } from '../../../clean-text.ts';
import { type Check, integer, list, literal, object, parseDocument, text, words } from '../../../formats/shape.ts';
import { type Format, inFormat } from '../../../system/format.ts';
import { MOST_FAILURES, type Semaphore } from './semaphore.ts';

/** `place` says where the bytes come from, for the message when they are not a semaphore. */
export const readSemaphore = (bytes: Uint8Array, place: string): Semaphore =>
  parseDocument(bytes, MOST_BYTES, 'lock-document-invalid', place, SEMAPHORE);

/** What is said of the hosts is shortened where there is no room: a lock that nobody can read stops the whole group. */
export function writeSemaphore(document: Semaphore): Uint8Array {
  const isSmall = semaphoreFormat.write(document).length <= FEW_WORDS_FROM;
  return inFormat(semaphoreFormat, isSmall ? document : inFewWords(document)).bytes;
}

const inFewWords = ({ holders, failures, ...rest }: Semaphore): Semaphore => ({
  ...rest,
  holders: holders.map((one) => ({ ...one, why: cleanLine(one.why, 40) })),
  failures: failures.map((one) => ({ ...one, why: cleanLine(one.why, 40) })),
});

export const semaphoreFormat: Format<Semaphore> = {
  name: 'The lock of a group',
  write: (document) => JSON.stringify(document),
  read: (bytes) => readSemaphore(bytes, 'the lock'),
};

/** A sentence cut so that it may be written down. */
export const oneLine = (sentence: string): string => cleanLine(sentence, 200) || 'no reason was given';

/**
 * FleetLock's ids are text, and case counts. One that is not clean is refused, never cleaned: two hosts must not become one. Dots alone would
 * lead elsewhere in an address.
 */
export const HOLDER_ID = new RegExp(`^(?!\\.{1,2}$)${CLEAN_LINE.source.slice(1)}`, 'u');

/** In characters: a host name has room, and a thousand of them in one document, too. */
export const LONGEST_ID = 255;

/** The most hosts that may reboot at once. */
export const MOST_HOLDERS = 1000;

/** Every holder and every failure with the longest of ids and few words. */
const MOST_BYTES = 6 * 1024 * 1024;
const FEW_WORDS_FROM = 350_000;

const line =
  (pattern: RegExp, what: string): Check<string> =>
  (value, path) => {
    if (typeof value === 'string' && pattern.test(value) && [...value].length <= LONGEST_ID) return value;
    throw new TypeError(`${path} must be ${what}`);
  };
const id = line(HOLDER_ID, 'the id of a host');
const name = line(CLEAN_LINE, 'the name of a host');
const sentence: Check<string> = (value, path) => oneLine(words()(value, path));
const time = text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/, 'a time');

const SEMAPHORE = object({
  schema: literal(1),
  max: integer(0, MOST_HOLDERS),
  maxFailures: integer(0, MOST_HOLDERS),
  holders: list(
    object({
      id,
      name,
      hardware: text(/^[0-9a-f]{0,64}$/, 'hex or nothing'),
      phase: literal('waiting', 'rebooting'),
      since: time,
      why: sentence,
      deadlineSeconds: integer(1, 31_536_000),
    }),
    MOST_HOLDERS,
  ),
  failures: list(object({ id, name, since: time, why: sentence }), MOST_FAILURES),
});
