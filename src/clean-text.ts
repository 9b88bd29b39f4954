/** Text from outside (a program's output, a server's sentence, a file name), made fit for terminals, logs, pages and our own documents. */

/** Longest text kept of anything from outside, in UTF-16 code units. */
export const LONGEST_TEXT = 2000;

/**
 * One line of at most `limit` UTF-16 code units. White space and control characters become one space; what reorders text or
 * cannot be seen becomes U+FFFD, so that a forged name looks forged. Clean text stays as it is.
 */
export const cleanLine = (text: string, limit = LONGEST_TEXT): string =>
  text.length <= limit && PLAIN.test(text)
    ? text
    : cut(
        visible(text.slice(0, limit * 4))
          .replace(BLANKS, ' ')
          .trim(),
        limit,
      );

/** Most text is clean, and this is found out many times faster. */
const PLAIN = /^(?:[!-~]+(?: [!-~]+)*)?$/;

/** The same, with its line breaks kept. */
export const cleanText = (text: string, limit = LONGEST_TEXT): string =>
  cut(
    visible(text.slice(0, limit * 4))
      .replace(LINE_ENDS, '\n')
      .replace(BLANKS_IN_LINE, ' ')
      .trim(),
    limit,
  );

/** All of it, blanks and line breaks kept: for what is laid out already. What would steer a terminal becomes U+FFFD. */
export const shownText = (text: string): string => visible(text).replace(STEERING, '\ufffd');

/** JSON that says the same without a character that steers a terminal or hides: as escapes, which every reader undoes. */
export const shownJson = (json: string): string =>
  json.replace(INVISIBLE, escaped).replace(/[\u007f-\u009f\u2028\u2029]/g, escaped);

const escaped = (sign: string): string =>
  sign
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');

const visible = (text: string): string => text.toWellFormed().replace(INVISIBLE, '\ufffd');

function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // Never between the two halves of a surrogate pair.
  const kept = text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '');
  return `${kept}…`;
}

const BLANKS = /[\p{Cc}\s]+/gu;
const BLANKS_IN_LINE = /(?:(?!\n)[\p{Cc}\s])+/gu;
const STEERING = /(?![\n\t])[\p{Cc}\u2028\u2029]/gu;
const LINE_ENDS = /\r\n?|[\u2028\u2029\v\f]/g;
// Marks, overrides and isolates of the bidirectional algorithm (UAX #9), zero-width spaces and joiners of words, interlinear
// annotations, tags. The joiners U+200C and U+200D stay: scripts and emoji need them.
const HIDDEN = String.raw`\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}`;
const INVISIBLE = new RegExp(`[${HIDDEN}]`, 'gu');
const SIGN = String.raw`[^\s\p{Cc}\p{Cs}${HIDDEN}]`;

/** Text that is not empty and that `cleanLine` leaves as it is, where what is not so must be refused instead of changed. */
export const CLEAN_LINE = new RegExp(`^${SIGN}(?: ?${SIGN})*$`, 'u');
