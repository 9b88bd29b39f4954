/** When the dead man's timer restarts a machine on trial; the verdict must come earlier. */

import { attempt, type Exec } from '../../system/process/exec.ts';

/** Milliseconds from now; undefined if the timer does not run, or systemd does not say. `uptimeMs` is the kernel's clock. */
export async function untilDeadMan(exec: Exec, uptimeMs: number, signal?: AbortSignal): Promise<number | undefined> {
  const args = ['show', '--property=NextElapseUSecMonotonic', '--value', '--', 'tandem-dead-man.timer'];
  const options = { timeoutMs: 20_000, package: 'systemd', ...(signal ? { signal } : {}) };
  const { exitCode, stdout } = await attempt(exec, 'systemctl', args, options);
  const at = exitCode === 0 ? spanMs(stdout.trim()) : undefined;
  return at === undefined || at <= uptimeMs ? undefined : at - uptimeMs;
}

/** Parses systemd's time spans, such as `1h 28min 8.435691s`. */
export function spanMs(text: string): number | undefined {
  const parts = text.split(' ').map((part) => /^(\d+(?:\.\d+)?)(y|month|w|d|h|min|s|ms|us)$/.exec(part));
  if (parts.includes(null)) return undefined;
  return parts.reduce((sum, part) => sum + Number(part?.[1]) * (UNITS[part?.[2] ?? ''] ?? Number.NaN), 0);
}

const DAY = 86_400_000;
const UNITS: Readonly<Record<string, number>> = {
  y: 365.25 * DAY,
  month: 30.4375 * DAY,
  w: 7 * DAY,
  d: DAY,
  h: 3_600_000,
  min: 60_000,
  s: 1000,
  ms: 1,
  us: 0.001,
};
