/** Orders versions as the UAPI Version Format Specification says, so that we and the boot loader agree on what is newer. */

import type { Version } from './model.ts';

/** Negative when `a` is older, positive when it is newer, 0 when neither is. */
export const compareVersions = (a: Version, b: Version): number => compareVersionTexts(a, b);

/** The same order for any text: the boot loader applies it to file names as well. */
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
/** Either the answer, or what is left to compare. */
type Step = number | Pair;

const IGNORED = /^[^0-9A-Za-z~^.-]+/;
// In the order in which they weigh: a release part ("-") is older than a patched one ("^"), which is older than a point one.
const SEPARATORS = ['-', '^', '.'] as const;

function compareSegment(texts: Pair): Step {
  // A tilde is the only thing that makes a longer version the older one, so it is looked at before the end is.
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

/** Past a mark that both sides have; the side that alone has it is the older one. */
function passMark([a, b]: Pair, mark: string): Step {
  const [hasA, hasB] = [a.startsWith(mark), b.startsWith(mark)];
  if (hasA !== hasB) return hasA ? -1 : 1;
  return hasA ? [a.slice(1), b.slice(1)] : [a, b];
}

/** Compares the digits both begin with, or else the letters. */
function compareRun([a, b]: Pair): Step {
  const digits = /^[0-9]/.test(a) || /^[0-9]/.test(b);
  const [runA, runB] = digits ? [leading(a, /^[0-9]*/), leading(b, /^[0-9]*/)] : [word(a), word(b)];
  const order = digits ? compareNumbers(runA, runB) : compareText(runA, runB);
  return order === 0 ? [a.slice(runA.length), b.slice(runB.length)] : order;
}

const leading = (text: string, run: RegExp): string => run.exec(text)?.[0] ?? '';
const word = (text: string): string => leading(text, /^[A-Za-z]*/);

/** Any number is newer than none. No value is computed, so there may be any number of digits. */
function compareNumbers(a: string, b: string): number {
  if (a === '' || b === '') return Math.sign(a.length - b.length);
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return Math.sign(x.length - y.length) || compareText(x, y);
}

/** Upper case before lower case, and a longer word after the one it begins with. */
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
