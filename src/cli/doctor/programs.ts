/** Whether health programs and pre-reboot hooks exist and can run. */

import { readFailedBefore } from '../../agent/loop/failed-before.ts';
import { LEAVING_MS } from '../../agent/loop/health.ts';
import type { Config } from '../../config/config.ts';
import { spanMs } from '../../reboot/health/dead-man-timer.ts';
import { healthPrograms } from '../../reboot/health/programs.ts';
import { failedUnits } from '../../reboot/health/units.ts';
import { type ProgramFile, type ProgramLook, programsIn } from '../../reboot/program-folders.ts';
import type { Files } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import { duration } from '../units.ts';
import { type Finding, fail, ok, unknown, warn } from './finding.ts';

type Listing = Pick<Files, 'list'>;

/** Without requirements, a release passes as soon as no unit has failed. */
export async function healthCheck(files: Listing, { health }: Config, look?: ProgramLook): Promise<Finding> {
  const { required, wanted } = await healthPrograms(files, health.directories, look);
  const unfit = faultsIn(required);
  if (unfit) return fail(`${unfit}: no release can pass.`, REPAIR);
  const odd = faultsIn(wanted);
  if (odd) return warn(`${odd}.`, REPAIR);
  if (required.length + health.requiredUnits.length === 0)
    return warn('The only health requirement is that no unit fails.', ADVICE);
  const units = `required units: ${health.requiredUnits.length}`;
  return ok(`Required programs: ${required.length}, ${units}, wanted programs: ${wanted.length}.`);
}

export async function hookPrograms(files: Listing, { reboot }: Config, look?: ProgramLook): Promise<Finding> {
  const programs = await programsIn(files, reboot.hookDirectories, look);
  const unfit = faultsIn(programs);
  if (unfit) return fail(`${unfit}: the host cannot restart into a release.`, REPAIR);
  return ok(programs.length === 0 ? 'No programs.' : `Programs: ${programs.length}.`);
}

/** A release is judged only by units that did not fail before it, so older failures are reported here. */
export async function failedUnitsCheck(
  { exec, files, signal }: ProgramsWorld,
  { health, agent }: Config,
): Promise<Finding> {
  const failed = await failedUnits({ exec, ignored: health.ignoredUnits }, signal).catch(() => undefined);
  if (!failed) return unknown('systemd does not report which units have failed.', 'Check that systemd is running.');
  if (failed.length === 0) return ok('None.');
  const before = (await readFailedBefore(files, agent.stateDir))?.units ?? [];
  const names = failed.map((unit) => (before.includes(unit) ? `${unit} (failed before the last update)` : unit));
  return warn(
    `${names.join(', ')}.`,
    'See `systemctl status`. Units that failed before a release do not count against it.',
  );
}

type ProgramsWorld = Readonly<{ exec: Exec; files: Pick<Files, 'read'>; signal: AbortSignal }>;

/** A release must be judged before the dead man restarts the machine, or a slow release looks like a broken one. */
export async function deadMansTime(exec: Exec, config: Config): Promise<Finding> {
  const args = ['show', '--property=TimersMonotonic', '--value', '--', 'tandem-dead-man.timer'];
  const { stdout } = await exec('systemctl', args);
  const givenMs = spanMs(/OnActiveUSec=([^;]*[^; ])/.exec(stdout)?.[1] ?? '');
  if (givenMs !== undefined) return judgeDeadMansTime(givenMs, config);
  return unknown('systemd does not report the dead man’s timer.', 'Check that tandem-dead-man.timer is enabled.');
}

export function judgeDeadMansTime(givenMs: number, { health }: Config): Finding {
  const { startTimeoutSeconds, timeoutSeconds, retrySeconds } = health;
  const takenMs = (startTimeoutSeconds + 2 * timeoutSeconds + retrySeconds) * 1000 + LEAVING_MS;
  const times = `A release has up to ${duration(takenMs)} to prove itself, and the dead man restarts the machine after ${duration(givenMs)}`;
  if (takenMs <= givenMs) return ok(`${times}.`);
  return warn(
    `${times}, before the verdict.`,
    'Lengthen OnActiveSec= of tandem-dead-man.timer, or shorten `health.*_seconds`.',
  );
}

const ADVICE = 'Put a program into /usr/lib/tandem/health.d/required, or list units in `health.required_units`.';
const REPAIR = 'Fix it, remove it, or mask it with a link to /dev/null of the same name in /etc/tandem.';

const faultsIn = (programs: readonly ProgramFile[]): string | undefined =>
  programs.flatMap(({ path, fault }) => (fault === undefined ? [] : [`${path} ${fault}`])).join('; ') || undefined;
