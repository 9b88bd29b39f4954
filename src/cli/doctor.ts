/** `updatectl doctor`. */

import { loadConfig, resolveConfig } from '../config.ts';
import { EXIT } from '../errors.ts';
import type { Command } from './command.ts';
import { runChecks } from './doctor-checks.ts';
import type { Finding } from './finding.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'is this host set up right',
  description:
    'Looks and changes nothing. Exit status 8: something is wrong. A check that could not be made is not wrong.',
  examples: ['updatectl doctor', 'updatectl doctor --json'],
  run: async (context) => {
    const { out, files } = context;
    // A wrong configuration is told by the first check; the others look where they would without it.
    const checks = await runChecks(context, await loadConfig(files).catch(() => resolveConfig([])));
    const isWrong = checks.some(({ result }) => result === 'fail');
    out.document({ schema: 1, healthy: !isWrong, checks });
    const width = Math.max(...checks.map(({ name }) => name.length));
    for (const { name, result, sentence, next } of checks) {
      out.line(`${MARKS[result]}  ${name.padEnd(width)}  ${sentence}`);
      if (next !== undefined) out.line(`   ${' '.repeat(width)}  → ${next}`);
    }
    return isWrong ? EXIT.boot : EXIT.ok;
  },
};

const MARKS: Readonly<Record<Finding['result'], string>> = { ok: '✓', warn: '!', fail: '✗', unknown: '?' };
