/** The semaphore as bytes: bounded, checked before it is believed, and never written over when it is not understood. */

import { cleanLine } from '../../../clean-text.ts';
import { type Format, inFormat } from '../../../system/format.ts';
import { type Check, integer, list, literal, object, parseDocument, text, words } from '../../../system/shape.ts';
import { MOST_FAILURES, type Semaphore } from './semaphore.ts';

/** `place` says where the bytes come from, for the message when they are not a semaphore. */
export const readSemaphore = (bytes: Uint8Array, place: string): Semaphore =>
  parseDocument(bytes, MOST_BYTES, 'lock-document-invalid', place, SEMAPHORE);

/** What is said of the hosts is shortened where there is no room: a lock that nobody can read stops the whole group. */
export function writeSemaphore(document: Semaphore): Uint8Array {
  const isSmall = semaphoreFormat.write(document).length <= MOST_BYTES / 3;
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

/** The most hosts that may reboot at once. */
export const MOST_HOLDERS = 1000;

const MOST_BYTES = 1024 * 1024;

const id = text(/^[0-9a-f]{1,64}$/, 'an id in lower-case hex');
const name = text(/^[\x21-\x7e]{1,255}$/, 'the name of a host');
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
