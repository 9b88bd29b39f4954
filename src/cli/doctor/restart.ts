/** Whether the configured restart methods work on this host. */

import type { Config } from '../../config/config.ts';
import { ARMS_BY_BOOT_NEXT } from '../../reboot/bootloaders/bootloader.ts';
import { JUMPS, type Jump } from '../../reboot/methods/choose.ts';
import { readHostFacts } from '../../reboot/methods/host-facts.ts';
import type { Context } from '../command.ts';
import { type Finding, ok, warn } from './finding.ts';

/** Facts about the host only; two kernels are compared once there are two. */
export async function restartMethods({ files, exec }: Context, { reboot, boot }: Config): Promise<Finding> {
  const { method } = reboot;
  if (method === 'firmware') return ok('Restarts go through the firmware.');
  const host = await readHostFacts({ files, exec }, reboot.firmwareFlags, boot.esp, ARMS_BY_BOOT_NEXT[boot.backend]);
  if (host.firmwareFlag !== undefined)
    return warn(`${host.firmwareFlag} sends restarts through the firmware.`, 'Remove it after that restart.');
  for (const jump of JUMPS.filter((one) => method === 'auto' || method === one)) {
    await exec(TOOLS[jump], ['--version'], { timeoutMs: 20_000, package: PACKAGES[jump] });
    const why = host.barred[jump];
    if (why !== undefined)
      return warn(`No restart by ${jump}: ${why}.`, 'Until that changes, restarts go through the firmware.');
  }
  return ok(`Restarts by ${method} where that is safe.`);
}

const TOOLS: Readonly<Record<Jump, string>> = { soft: 'veritysetup', kexec: 'kexec' };
const PACKAGES: Readonly<Record<Jump, string>> = { soft: 'cryptsetup-bin', kexec: 'kexec-tools' };
