/** Cleans text from outside (a program's output, a server's sentence, a file name) for terminals, logs, pages and our own documents. */

/** The longest text kept from outside, in UTF-16 code units. */
export const LONGEST_TEXT = 2000;

/**
 * One line of at most `limit` UTF-16 code units. White space and control characters become one space; reordering and invisible characters
 * become U+FFFD, so that a forged name looks forged. Clean text is unchanged.
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

/** Fast path: most text is clean. */
const PLAIN = /^(?:[!-~]+(?: [!-~]+)*)?$/;

/** The same, with line breaks kept. */
export const cleanText = (text: string, limit = LONGEST_TEXT): string =>
  cut(
    visible(text.slice(0, limit * 4))
      .replace(LINE_ENDS, '\n')
      .replace(BLANKS_IN_LINE, ' ')
      .trim(),
    limit,
  );

/** The whole text, with blanks and line breaks, for text that has a layout. Characters that control a terminal become U+FFFD. */
export const shownText = (text: string): string => visible(text).replace(STEERING, '\ufffd');

/** Equivalent JSON, with control and invisible characters as escapes, which every parser decodes. */
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
// Marks, overrides and isolates of the bidirectional algorithm (UAX #9), zero-width spaces and word joiners, interlinear annotations, tags.
// The joiners U+200C and U+200D stay: scripts and emoji need them.
const HIDDEN = String.raw`\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}`;
const INVISIBLE = new RegExp(`[${HIDDEN}]`, 'gu');
const SIGN = String.raw`[^\s\p{Cc}\p{Cs}${HIDDEN}]`;

/** Non-empty text that `cleanLine` leaves unchanged, for fields in which unclean text is refused rather than cleaned. */
export const CLEAN_LINE = new RegExp(`^${SIGN}(?: ?${SIGN})*$`, 'u');
