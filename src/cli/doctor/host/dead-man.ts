/** Whether the dead man of this host can end a trial, and leaves a release the time that it needs. */

import type { Config } from '../../../config/config.ts';
import { DEAD_MAN, isShippedDeadMan } from '../../../reboot/health/dead-man-script.ts';
import { type Finding, fail, unknown, warn } from '../finding.ts';
import { deadMansTime } from '../programs.ts';
import type { DoctorWorld } from '../world.ts';

export async function deadMan({ exec, files, stat }: DoctorWorld, config: Config): Promise<Finding> {
  const script = await stat(DEAD_MAN);
  if (!script?.isFile()) return fail(`${DEAD_MAN} is missing: ${WHY}.`, REINSTALL);
  if ((script.mode & 0o111) === 0) return fail(`${DEAD_MAN} is not executable: ${WHY}.`, 'Set its x bit in the image.');
  const { stdout } = await exec('systemctl', ['show', '--property=LoadState,ActiveState', '--', TIMER]);
  const fault = timerFault(/^LoadState=(.*)$/m.exec(stdout)?.[1], /^ActiveState=(.*)$/m.exec(stdout)?.[1]);
  if (fault) return fault;
  const time = await deadMansTime(exec, config);
  if (time.result !== 'ok' || isShippedDeadMan((await files.readHead(DEAD_MAN, MOST_BYTES)) ?? new Uint8Array()))
    return time;
  return warn(`${DEAD_MAN} is not the one that comes with Tandem.`, REINSTALL);
}

function timerFault(loaded: string | undefined, active: string | undefined): Finding | undefined {
  if (loaded === undefined || active === undefined)
    return unknown('systemd does not report the dead man’s timer.', 'Check that tandem-dead-man.timer is enabled.');
  if (loaded === 'masked')
    return fail(`${TIMER} is masked: ${WHY}.`, `Run \`systemctl unmask ${TIMER}\`, and start it.`);
  if (loaded !== 'loaded') return fail(`${TIMER} is not installed: ${WHY}.`, REINSTALL);
  return active === 'active' ? undefined : fail(`${TIMER} does not run: ${WHY}.`, `Run \`systemctl start ${TIMER}\`.`);
}

const TIMER = 'tandem-dead-man.timer';
const WHY = 'a release that cannot start the agent would never fall back';
const REINSTALL = 'Install the one from the package tandem (systemd/tandem-dead-man in the sources) in the image.';
const MOST_BYTES = 256 * 1024;
