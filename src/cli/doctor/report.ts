/** Shows findings: a line each, what to do, and a count. */

import { EXIT } from '../../errors.ts';
import type { Context } from '../command.ts';
import type { Tone } from '../output.ts';
import type { Finding } from './finding.ts';

export type NamedFinding = Finding & Readonly<{ name: string }>;

/** Returns the exit status. `about` goes into the document. */
export function report({ out }: Context, checks: readonly NamedFinding[], about: object = {}): number {
  const isWrong = checks.some(({ result }) => result === 'fail');
  out.document({ schema: 1, healthy: !isWrong, ...about, checks });
  const width = Math.max(...checks.map(({ name }) => name.length));
  for (const { name, result, sentence, next } of checks) {
    const { mark, tone } = MARKS[result];
    out.marked(tone, mark, `  ${name.padEnd(width)}  ${sentence}`);
    if (next !== undefined) out.line(`   ${' '.repeat(width)}  → ${next}`);
  }
  out.line();
  out.line(summaryOf(checks));
  return isWrong ? EXIT.boot : EXIT.ok;
}

const MARKS: Readonly<Record<Finding['result'], Readonly<{ mark: string; tone: Tone }>>> = {
  ok: { mark: '✓', tone: 'good' },
  warn: { mark: '!', tone: 'fair' },
  fail: { mark: '✗', tone: 'bad' },
  unknown: { mark: '?', tone: 'fair' },
};

/** The number of checks with each result. */
export function summaryOf(checks: readonly Finding[]): string {
  const count = (result: Finding['result']): number => checks.filter((one) => one.result === result).length;
  if (count('ok') === checks.length) return `All ${checks.length} checks passed.`;
  const others = (
    [
      ['fail', 'failed'],
      ['warn', 'with a warning'],
      ['unknown', 'could not be run'],
    ] as const
  )
    .filter(([result]) => count(result) > 0)
    .map(([result, words]) => `${count(result)} ${words}`);
  return `Of ${checks.length} checks: ${[`${count('ok')} passed`, ...others].join(', ')}.`;
}
