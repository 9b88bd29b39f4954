/** Whether systemd-bless-boot leaves confirming to the agent. */

import type { Config } from '../../../config/config.ts';
import { attempt } from '../../../system/process/exec.ts';
import { type Finding, ok, unknown, warn } from '../finding.ts';
import { readText } from '../reading.ts';
import type { DoctorWorld } from '../world.ts';

export async function blessBoot({ exec, files }: DoctorWorld, { boot }: Config): Promise<Finding> {
  if (boot.backend !== 'systemd-boot') return ok('Not used with this boot loader.');
  const { stdout } = await attempt(exec, 'systemctl', ['show', '--property=LoadState,DropInPaths', '--', SERVICE]);
  const state = /^LoadState=(.*)$/m.exec(stdout)?.[1];
  if (state === undefined)
    return unknown('systemd does not report about systemd-bless-boot.', 'Check that systemd is running.');
  if (state !== 'loaded') return ok('This system does not have systemd-bless-boot.');
  for (const path of /^DropInPaths=(.*)$/m.exec(stdout)?.[1]?.split(' ') ?? [])
    if (isOurs((await readText(files, path)) ?? ''))
      return ok('The agent confirms the system, not systemd-bless-boot.');
  return warn(
    `${SERVICE} has no drop-in of Tandem: it fails after a restart that skips the boot loader.`,
    `Install systemd/systemd-bless-boot.conf as /usr/lib/systemd/system/${SERVICE}.d/10-tandem.conf in the image.`,
  );
}

/** Whether a drop-in keeps the service from running while the agent does. */
export const isOurs = (dropIn: string): boolean =>
  /^\s*ConditionPathExists\s*=\s*!\/run\/tandem\/control\.sock\s*$/m.test(dropIn);

const SERVICE = 'systemd-bless-boot.service';
