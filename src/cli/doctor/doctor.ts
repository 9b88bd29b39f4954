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
  summary: 'is this host set up right',
  description:
    'Looks and changes nothing. Exit status 8: something is wrong. A check that could not be made is not wrong.',
  examples: ['updatectl doctor', 'updatectl doctor --json'],
  run: async (context) => {
    const { out, files } = context;
    // A wrong configuration is told by the first check; the others go by what is right of it.
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

/** How many of the checks found what. */
export function summaryOf(checks: readonly Finding[]): string {
  const count = (result: Finding['result']): number => checks.filter((one) => one.result === result).length;
  if (count('ok') === checks.length) return `All ${checks.length} checks are good.`;
  const others = (
    [
      ['fail', 'wrong'],
      ['warn', 'to look at'],
      ['unknown', 'could not be made'],
    ] as const
  )
    .filter(([result]) => count(result) > 0)
    .map(([result, words]) => `${count(result)} ${words}`);
  return `Of ${checks.length} checks: ${[`${count('ok')} good`, ...others].join(', ')}.`;
}
