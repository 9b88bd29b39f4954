/** The reboot method `firmware`: a full restart through firmware and boot loader. */

import { UpdateError } from '../../errors.ts';
import type { Exec } from '../../system/process/exec.ts';

/** Requests the restart. Returns once systemd has agreed; the agent is stopped soon after. `argument` is passed to the firmware. */
export const rebootByFirmware = (exec: Exec, argument?: string): Promise<void> =>
  askToLeave(exec, 'reboot', argument === undefined ? [] : [`--reboot-argument=${argument}`]);

/** Runs `systemctl VERB`. The timing is up to the gates; systemd itself refuses too while a program holds a `block` lock. */
export async function askToLeave(
  exec: Exec,
  verb: 'reboot' | 'kexec' | 'soft-reboot',
  options: readonly string[] = [],
): Promise<void> {
  // A kernel or next root prepared by others, or in vain, must not be used instead.
  const env = { SYSTEMCTL_SKIP_AUTO_KEXEC: '1', SYSTEMCTL_SKIP_AUTO_SOFT_REBOOT: '1' };
  const args = [verb, '--no-wall', ...options];
  const result = await exec('systemctl', args, { env, timeoutMs: 60_000, package: 'systemd' });
  if (result.exitCode === 0) return;
  // A timeout is no refusal: the system may still be shutting down.
  if (result.timedOut) throw new UpdateError('tool-failed', `systemctl ${verb} timed out.`);
  const message = result.stderr.trim().slice(-1024);
  if (/inhibit/i.test(message)) throw new UpdateError('reboot-inhibited', `systemctl ${verb} was refused: ${message}`);
  throw new UpdateError('reboot-failed', `systemctl ${verb} ended with status ${result.exitCode}: ${message}`);
}
