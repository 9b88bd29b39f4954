/** The reboot method `firmware`: a full restart, through firmware and boot loader. */

import { UpdateError } from '../../errors.ts';
import type { Exec } from '../../system/exec.ts';

/** Asks the system to restart. Returns when it has agreed; we are stopped soon after. */
export const rebootByFirmware = (exec: Exec): Promise<void> => askToLeave(exec, 'reboot');

/**
 * `systemctl VERB`. Whether the moment is right is for the gates to say; systemd refuses by itself as well while a program holds a lock
 * of the kind `block`.
 */
export async function askToLeave(exec: Exec, verb: 'reboot' | 'kexec' | 'soft-reboot'): Promise<void> {
  // A kernel or a root that was made ready by somebody else, or in vain, must not be taken instead.
  const env = { SYSTEMCTL_SKIP_AUTO_KEXEC: '1', SYSTEMCTL_SKIP_AUTO_SOFT_REBOOT: '1' };
  const result = await exec('systemctl', [verb, '--no-wall'], { env, timeoutMs: 60_000, package: 'systemd' });
  if (result.exitCode === 0) return;
  const said = result.stderr.trim().slice(-1024);
  if (/inhibit/i.test(said)) throw new UpdateError('reboot-inhibited', `systemctl ${verb} was refused: ${said}`);
  throw new UpdateError('reboot-failed', `systemctl ${verb} ended with status ${result.exitCode}: ${said}`);
}
