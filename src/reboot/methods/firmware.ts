/** The reboot method `firmware`: a full restart, through firmware and boot loader. */

import { UpdateError } from '../../errors.ts';
import type { Exec } from '../../system/process/exec.ts';

/** Asks the system to restart. Returns when it has agreed; we are stopped soon after. `argument` is for the firmware to read. */
export const rebootByFirmware = (exec: Exec, argument?: string): Promise<void> =>
  askToLeave(exec, 'reboot', argument === undefined ? [] : [`--reboot-argument=${argument}`]);

/**
 * `systemctl VERB`. Whether the moment is right is for the gates to say; systemd refuses by itself as well while a program holds a lock
 * of the kind `block`.
 */
export async function askToLeave(
  exec: Exec,
  verb: 'reboot' | 'kexec' | 'soft-reboot',
  options: readonly string[] = [],
): Promise<void> {
  // A kernel or a root that was made ready by somebody else, or in vain, must not be taken instead.
  const env = { SYSTEMCTL_SKIP_AUTO_KEXEC: '1', SYSTEMCTL_SKIP_AUTO_SOFT_REBOOT: '1' };
  const args = [verb, '--no-wall', ...options];
  const result = await exec('systemctl', args, { env, timeoutMs: 60_000, package: 'systemd' });
  if (result.exitCode === 0) return;
  // That is no refusal: the system may be leaving all the same.
  if (result.timedOut) throw new UpdateError('tool-failed', `systemctl ${verb} ran out of time.`);
  const said = result.stderr.trim().slice(-1024);
  if (/inhibit/i.test(said)) throw new UpdateError('reboot-inhibited', `systemctl ${verb} was refused: ${said}`);
  throw new UpdateError('reboot-failed', `systemctl ${verb} ended with status ${result.exitCode}: ${said}`);
}
