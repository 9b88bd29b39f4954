/** Keeps the hardware watchdog running while one kernel starts the next, if the next system takes it over. */

import type { Files } from '../../system/files.ts';
import { attempt, type Exec } from '../../system/process/exec.ts';

type WatchdogWorld = Readonly<{ exec: Exec; files: Pick<Files, 'list'> }>;

/** Returns a sentence on what would notice a hanging jump. Never throws: without a watchdog, somebody must restart the machine by hand. */
export async function armWatchdog({ exec, files }: WatchdogWorld): Promise<string> {
  const devices = await files.list('/sys/class/watchdog').catch(() => []);
  if (devices.length === 0) return 'there is no hardware watchdog, so nothing would end a jump that hangs';
  // The next system takes over a running watchdog only with RuntimeWatchdogSec=; otherwise the watchdog would reset it.
  if (!isInUse(await show(exec, 'RuntimeWatchdogUSec')))
    return 'the hardware watchdog is not in use (RuntimeWatchdogSec=), so it stays off';
  const { exitCode, stderr } = await setOverTheJump(exec, OVER_THE_JUMP_US);
  if (exitCode === 0) return `${PROPERTY} is ${OVER_THE_JUMP}`;
  return `the hardware watchdog could not be armed: ${stderr.trim().slice(-200)}`;
}

/** Disarms it when the host stays: an operator's own kexec is not our business. Never throws. */
export async function disarmWatchdog(exec: Exec): Promise<void> {
  if ((await show(exec, PROPERTY)) === OVER_THE_JUMP) await setOverTheJump(exec, AS_CONFIGURED);
}

/** “infinity” is the driver's own timeout (RuntimeWatchdogSec=default). */
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
/** The value set over the bus takes precedence over the configuration, until it is set to “never”. */
const AS_CONFIGURED = 2n ** 64n - 1n;
const TOOL = { timeoutMs: 20_000, package: 'systemd' };
