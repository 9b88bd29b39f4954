/** Has the hardware watchdog run on while one kernel starts the next, where there is one that the next system takes over. */

import type { Files } from '../../system/files.ts';
import { attempt, type Exec } from '../../system/process/exec.ts';

type World = Readonly<{ exec: Exec; files: Pick<Files, 'list'> }>;

/** One sentence on who would notice that the jump hangs. Never fails: a machine without a watchdog is restarted by hand, as ever. */
export async function armWatchdog({ exec, files }: World): Promise<string> {
  const devices = await files.list('/sys/class/watchdog').catch(() => []);
  if (devices.length === 0) return 'there is no hardware watchdog, so nobody would notice a jump that hangs';
  // The next system takes a running watchdog over only if it is told to; one that has no RuntimeWatchdogSec= would be shot.
  if (!isInUse(await show(exec, 'RuntimeWatchdogUSec')))
    return 'the hardware watchdog is not in use (RuntimeWatchdogSec=), so it stays off';
  const { exitCode, stderr } = await setOverTheJump(exec, OVER_THE_JUMP_US);
  if (exitCode === 0) return `${PROPERTY} is ${OVER_THE_JUMP}`;
  return `the hardware watchdog could not be armed: ${stderr.trim().slice(-200)}`;
}

/** The host stays after all: an operator's own kexec is his affair. Never fails either. */
export async function disarmWatchdog(exec: Exec): Promise<void> {
  if ((await show(exec, PROPERTY)) === OVER_THE_JUMP) await setOverTheJump(exec, AS_CONFIGURED);
}

/** “infinity” is the time that the driver itself has (RuntimeWatchdogSec=default). */
const isInUse = (time: string): boolean => /[1-9]|infinity/.test(time);

const show = async (exec: Exec, property: string): Promise<string> =>
  (await attempt(exec, 'systemctl', ['show', `--property=${property}`, '--value'], TOOL)).stdout.trim();

const setOverTheJump = (exec: Exec, us: bigint) =>
  attempt(exec, 'busctl', ['set-property', ...MANAGER, PROPERTY, 't', String(us)], TOOL);

const MANAGER = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];
const PROPERTY = 'KExecWatchdogUSec';
const OVER_THE_JUMP_US = 180_000_000n;
/** As systemctl prints it. */
const OVER_THE_JUMP = '3min';
/** What was set on the bus counts before what is configured, until it is set to “never”. */
const AS_CONFIGURED = 2n ** 64n - 1n;
const TOOL = { timeoutMs: 20_000, package: 'systemd' };
