/** The systemd probe: startup finished, required units active, no failed units. */

import { matchesGlob } from 'node:path';
import { list, object, text } from '../../formats/shape.ts';
import type { Verdict } from '../../model.ts';
import type { Clock } from '../../system/clock.ts';
import type { Files } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { leftOver } from './left-over.ts';
import type { Probe } from './probe.ts';

export type UnitsProbe = Readonly<{
  exec: Exec;
  files: Pick<Files, 'read'>;
  clock: Clock;
  required: readonly string[];
  /** Globs of units that may fail or start late. */
  ignored: readonly string[];
  /** Units that failed in the previous system. A required one must run anyway. */
  before?: readonly string[];
  /** The time limit for startup. */
  startTimeoutMs: number;
}>;

/** Waits for the end of startup, then checks once. */
export const unitsProbe = (options: UnitsProbe): Probe => ({
  name: 'systemd units',
  required: true,
  run: async (signal) => {
    const unfinished = await waitForStart(options, signal);
    if (unfinished.length > 0) return failed(`the system is still starting: ${unfinished.join(', ')}`);
    const missing = await inactive(options, signal);
    const broken = await failedUnits(options, signal);
    const earlier = await leftOver(options, broken, signal);
    return judge(
      missing,
      broken.filter((unit) => !earlier.includes(unit) && !options.before?.includes(unit)),
    );
  },
});

const POLL_MS = 1_000;
/**
 * Units that wait for our verdict, and ourselves. Counting them as “still starting” would be a deadlock: the probe would wait for
 * boot-complete.target, that for tandem-confirm.service, and that for the probe. `systemctl is-system-running` counts them, so it is not
 * used.
 */
const WAITING_FOR_US = [
  'tandem-agent.service',
  'tandem-confirm.service',
  'tandem-trial-began.service',
  // After a start past the boot loader, it looks for the entry of the start before, and fails if that has been renamed.
  'systemd-bless-boot.service',
];

async function waitForStart(options: UnitsProbe, signal: AbortSignal): Promise<readonly string[]> {
  const end = options.clock.monotonicMs() + options.startTimeoutMs;
  for (;;) {
    const running = await runningJobs(options, signal);
    if (running.length === 0 || options.clock.monotonicMs() >= end) return running;
    await options.clock.sleep(POLL_MS, signal);
  }
}

/** Units that systemd is starting now. A job that waits does so for one of these or for us. */
async function runningJobs({ exec, ignored }: UnitsProbe, signal: AbortSignal): Promise<string[]> {
  // A table of number, unit, type and state: the one list that systemctl cannot print as JSON.
  const output = await run(exec, 'systemctl', ['list-jobs', '--no-legend', '--plain'], { signal, ...LIMITS });
  return output
    .split('\n')
    .map((line) => /^\s*\d+\s+(\S+)\s+start\s+running\s*$/.exec(line)?.[1])
    .filter((unit) => unit !== undefined)
    .filter((unit) => !WAITING_FOR_US.includes(unit) && !matches(unit, ignored));
}

/** Failed units, except those that may fail. */
export async function failedUnits(
  { exec, ignored }: Pick<UnitsProbe, 'exec' | 'ignored'>,
  signal: AbortSignal,
): Promise<string[]> {
  const args = ['list-units', '--state=failed', '--no-legend', '--output=json'];
  return rows(await run(exec, 'systemctl', args, { signal, ...LIMITS }))
    .map(({ unit }) => unit)
    .filter((unit) => !WAITING_FOR_US.includes(unit) && !matches(unit, ignored));
}

/** Required units that are not active, each with its state. */
async function inactive({ exec, required }: UnitsProbe, signal: AbortSignal): Promise<string[]> {
  if (required.length === 0) return [];
  const args = ['show', '--property=Id,LoadState,ActiveState,SubState,Result', '--', ...required];
  const shown = (await run(exec, 'systemctl', args, { signal, ...LIMITS })).split(/\n\n+/).map(properties);
  // One answer per unit, in order; an alias appears under its real name.
  return required.flatMap((unit, index) => {
    const found = shown[index] ?? new Map<string, string>();
    if (found.get('ActiveState') === 'active') return [];
    const of = (key: string): string => found.get(key) ?? 'unknown';
    const state =
      found.get('LoadState') === 'not-found' ? 'does not exist' : `is ${of('ActiveState')} (${of('SubState')})`;
    const result = found.get('Result') ?? 'success';
    return [result === 'success' ? `${unit} ${state}` : `${unit} ${state}: ${result}`];
  });
}

function judge(missing: readonly string[], broken: readonly string[]): Verdict {
  const faults = [
    ...missing,
    ...broken.filter((unit) => !missing.some((one) => one.startsWith(`${unit} `))).map((unit) => `${unit} failed`),
  ];
  return faults.length === 0 ? { ok: true } : failed(faults.join('; '));
}

const LIMITS = { timeoutMs: 20_000, package: 'systemd' };
const MAX_ROWS = 10_000;

const rows = (output: string): readonly Readonly<{ unit: string }>[] =>
  output.trim() === '' ? [] : list(row, MAX_ROWS)(JSON.parse(output), 'the answer of systemctl');

const row = object({ unit: text(/^/) }, 'ignore');

const properties = (block: string): Map<string, string> =>
  new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));

const matches = (unit: string, globs: readonly string[]): boolean => globs.some((glob) => matchesGlob(unit, glob));

const failed = (reason: string): Verdict => ({ ok: false, reason });
