/** Has systemd keep the hardware watchdog running over a jump, where there is one. */

import type { Exec } from '../../system/exec.ts';
import type { Files } from '../../system/files.ts';
import type { Jump } from './choose.ts';

type World = Readonly<{ exec: Exec; files: Pick<Files, 'list'> }>;

/** One sentence on who would notice that the jump hangs. Never fails: a machine without a watchdog is restarted by hand, as ever. */
export async function armWatchdog({ exec, files }: World, jump: Jump): Promise<string> {
  const devices = await files.list('/sys/class/watchdog').catch(() => []);
  if (devices.length === 0) return 'there is no hardware watchdog, so nobody would notice a jump that hangs';
  const options = { timeoutMs: 20_000, package: 'systemd' };
  const show = ['show', '--property=RuntimeWatchdogUSec', '--value'];
  const isRunning = /[1-9]/.test((await exec('systemctl', show, options)).stdout);
  if (jump === 'soft' && isRunning) return 'the hardware watchdog runs on over the soft reboot';
  // The next system takes a running watchdog over only if it is told to; one that has no RuntimeWatchdogSec= would be shot.
  if (jump === 'kexec' && !isRunning)
    return 'the hardware watchdog is not in use (RuntimeWatchdogSec=), so it stays off';
  const property = jump === 'soft' ? 'RuntimeWatchdogUSec' : 'KExecWatchdogUSec';
  const set = await exec('busctl', ['set-property', ...MANAGER, property, 't', String(OVER_THE_JUMP_US)], options);
  if (set.exitCode === 0) return `${property} is ${OVER_THE_JUMP_US / 1_000_000} s`;
  return `the hardware watchdog could not be armed: ${set.stderr.trim().slice(-200)}`;
}

const MANAGER = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];
const OVER_THE_JUMP_US = 180_000_000;
