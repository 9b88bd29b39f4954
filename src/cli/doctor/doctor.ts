/** `updatectl doctor`. */

import { CONFIG_DIRS, type Config, loadConfig, resolveSound } from '../../config/config.ts';
import { readFragments } from '../../config/fragments.ts';
import { EXIT } from '../../errors.ts';
import type { Command, Context } from '../command.ts';
import type { Tone } from '../output.ts';
import { runChecks } from './checks.ts';
import type { Finding } from './finding.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'check the setup of this host',
  description:
    'Read-only. Exits with status 8 if a check fails; a check that could not be run does not count as a failure.',
  examples: ['updatectl doctor', 'updatectl doctor --json'],
  run: async (context) => {
    const { out, files } = context;
    // The first check reports a wrong configuration; the others use its valid part.
    const checks = await runChecks(context, await loadConfig(files).catch(() => soundConfig(files)));
    const isWrong = checks.some(({ result }) => result === 'fail');
    out.document({ schema: 1, healthy: !isWrong, checks });
    const width = Math.max(...checks.map(({ name }) => name.length));
    for (const { name, result, sentence, next } of checks) {
      const { mark, tone } = MARKS[result];
      out.marked(tone, mark, `  ${name.padEnd(width)}  ${sentence}`);
      if (next !== undefined) out.line(`   ${' '.repeat(width)}  → ${next}`);
    }
    out.line();
    out.line(summaryOf(checks));
    return isWrong ? EXIT.boot : EXIT.ok;
  },
};

const MARKS: Readonly<Record<Finding['result'], Readonly<{ mark: string; tone: Tone }>>> = {
  ok: { mark: '✓', tone: 'good' },
  warn: { mark: '!', tone: 'fair' },
  fail: { mark: '✗', tone: 'bad' },
  unknown: { mark: '?', tone: 'fair' },
};

const soundConfig = async (files: Context['files']): Promise<Config> =>
  resolveSound(await readFragments(files, CONFIG_DIRS).catch(() => []));

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
