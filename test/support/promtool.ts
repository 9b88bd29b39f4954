/** Prometheus' own tool, which reads what we write. */

import { spawnSync } from 'node:child_process';

/** What it says of its arguments; throws when it finds fault. */
export function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  if (error) throw new Error('promtool is missing: `packaging/install-tools test` gets it.', { cause: error });
  if (status !== 0) throw new Error(`promtool ${args.join(' ')} ends with ${status}: ${stderr}${stdout}`);
  return stdout;
}

/** Throws when the page cannot be read, or names its figures against the customs of Prometheus. */
export const checkMetrics = (page: string): string => promtool(['check', 'metrics'], page);

/** Every series of a page with its value, as the page names it. */
export const seriesOf = (page: string): ReadonlyMap<string, number> =>
  new Map(
    page
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
