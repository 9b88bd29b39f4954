/** Orders versions by the UAPI Version Format Specification, so that we and the boot loader agree on which is newer. */

import type { Version } from './model.ts';

/** Negative if `a` is older, positive if it is newer, 0 if neither. */
export const compareVersions = (a: Version, b: Version): number => compareVersionTexts(a, b);

/** The same order for any text, because the boot loader applies it to file names as well. */
export function compareVersionTexts(a: string, b: string): number {
  let rest: Pair = [a, b];
  for (;;) {
    rest = [rest[0].replace(IGNORED, ''), rest[1].replace(IGNORED, '')];
    const step = compareSegment(rest);
    if (typeof step === 'number') return step;
    rest = step;
  }
}

type Pair = readonly [string, string];
/** Either the result, or the rest to compare. */
type Step = number | Pair;

const IGNORED = /^[^0-9A-Za-z~^.-]+/;
// In order of weight: a release part ("-") is older than a patched one ("^"), which is older than a point one.
const SEPARATORS = ['-', '^', '.'] as const;

function compareSegment(texts: Pair): Step {
  // Only a tilde makes a longer version older, so it is checked before the end.
  const step = passMark(texts, '~');
  if (typeof step === 'number') return step;
  if (step[0] === '' || step[1] === '') return Math.sign(step[0].length - step[1].length);
  return comparePart(step);
}

function comparePart(texts: Pair): Step {
  let rest = texts;
  for (const mark of SEPARATORS) {
    const step = passMark(rest, mark);
    if (typeof step === 'number') return step;
    rest = step;
  }
  return compareRun(rest);
}

/** Skips a separator that both sides have; if only one has it, that side is older. */
function passMark([a, b]: Pair, mark: string): Step {
  const [hasA, hasB] = [a.startsWith(mark), b.startsWith(mark)];
  if (hasA !== hasB) return hasA ? -1 : 1;
  return hasA ? [a.slice(1), b.slice(1)] : [a, b];
}

/** Compares the leading digits of both, or else the letters. */
function compareRun([a, b]: Pair): Step {
  const digits = /^[0-9]/.test(a) || /^[0-9]/.test(b);
  const [runA, runB] = digits ? [leading(a, /^[0-9]*/), leading(b, /^[0-9]*/)] : [word(a), word(b)];
  const order = digits ? compareNumbers(runA, runB) : compareText(runA, runB);
  return order === 0 ? [a.slice(runA.length), b.slice(runB.length)] : order;
}

const leading = (text: string, run: RegExp): string => run.exec(text)?.[0] ?? '';
const word = (text: string): string => leading(text, /^[A-Za-z]*/);

/** Any number is newer than none. Digits are compared as text, so their number is unlimited. */
function compareNumbers(a: string, b: string): number {
  if (a === '' || b === '') return Math.sign(a.length - b.length);
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return Math.sign(x.length - y.length) || compareText(x, y);
}

/** Upper case before lower case, and a word before its extension. */
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
