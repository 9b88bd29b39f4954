/** The encoding of the semaphore: bounded, validated on reading, and never overwritten if unreadable. */

import { CLEAN_LINE, cleanLine } from '../../../clean-text.ts';
import { type Check, integer, list, literal, object, parseDocument, text, words } from '../../../formats/shape.ts';
import { type Format, inFormat } from '../../../system/format.ts';
import { MOST_FAILURES, type Semaphore } from './semaphore.ts';

/** `place`: the origin of the bytes, for the error message. */
export const readSemaphore = (bytes: Uint8Array, place: string): Semaphore =>
  parseDocument(bytes, MOST_BYTES, 'lock-document-invalid', place, SEMAPHORE);

/** Shortens the hosts' texts if space runs out: an unreadable lock would block the whole group. */
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

/** A sentence cut to the length that fits the document. */
export const oneLine = (sentence: string): string => cleanLine(sentence, 200) || 'no reason was given';

/**
 * FleetLock's ids are case-sensitive text. Unclean ids are refused rather than cleaned, so that two hosts never become one. Only dots would
 * change the path of a URL.
 */
export const HOLDER_ID = new RegExp(`^(?!\\.{1,2}$)${CLEAN_LINE.source.slice(1)}`, 'u');

/** In characters: long enough for host names, short enough for a thousand of them in one document. */
export const LONGEST_ID = 255;

export const MOST_HOLDERS = 1000;

/** Room for every holder and failure with the longest id and few words. */
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
