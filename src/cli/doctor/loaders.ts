/** Whether the boot loader that the configuration names is set up so that it can count and fall back. */

import { join } from 'node:path';
import { type Config, requireSetting } from '../../config/config.ts';
import type { BackendName, Product } from '../../model.ts';
import { copyOf } from '../../reboot/bootloaders/grub.ts';
import { hasGrubFlags, startedByUefi } from './boot-facts.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { tableSettings } from './gpt.ts';
import { mountOf } from './mount-table.ts';
import type { Reading } from './reading.ts';
import { systemdBootSettings } from './systemd-boot.ts';
import { ubootSettings } from './uboot.ts';

export const loaderSettings = (files: Reading, config: Config): Promise<Finding> =>
  CHECKS[config.boot.backend](files, config);

type Check = (files: Reading, config: Config) => Promise<Finding>;

const CHECKS: Readonly<Record<BackendName, Check>> = {
  'systemd-boot': async (files, config) =>
    systemdBootSettings(files, config.boot.esp, requireSetting(config, 'host.product') as Product),
  grub: (files, { boot }) => grubSettings(files, boot),
  uboot: (files, { boot }) => ubootSettings(files, boot.ubootEnvironment),
  'efi-variables': (files, { boot }) => efiSettings(files, boot.efiVariables),
  gpt: async (_files, config) => tableSettings(config),
  tryboot: (files, { boot }) => trybootSettings(files, boot),
  program: async (_files, { boot }) => programSettings(boot.program),
};

/** What GRUB itself reads is told by the check of the boot entries; here, whether a power cut could take it away. */
async function grubSettings(files: Reading, { grubEnvironment: path, esp }: Config['boot']): Promise<Finding> {
  if (!(await startedByUefi(files)))
    return fail(
      'This machine was started by a BIOS, and GRUB cannot start a UKI there.',
      'Start it by UEFI, or use a boot loader that needs none.',
    );
  const whole = await Promise.all([path, copyOf(path)].map((one) => hasGrubFlags(files, one)));
  if (!whole.some(Boolean)) return fail(`${path} is damaged or missing.`, 'Make it anew: docs/boot-loaders.md.');
  const seen = join(esp, 'EFI/tandem/grubenv');
  if (path !== seen)
    return warn(
      `The flags are in ${path}, and the grub.cfg that comes with Tandem looks in ${seen} only.`,
      `Unless yours looks elsewhere: boot.grub_environment = "${seen}".`,
    );
  if (whole.every(Boolean)) return ok('GRUB’s environment and its copy are whole.');
  return warn('Of GRUB’s environment and its copy only one is whole.', 'The next update writes both anew.');
}

async function efiSettings(files: Reading, dir: string): Promise<Finding> {
  const mount = await mountOf(files, dir);
  if ((await files.list(dir)).length === 0)
    return fail(`${dir} shows no variables.`, 'The machine must have been started by EFI firmware, efivarfs mounted.');
  if (mount?.readOnly) return fail(`${mount.path} is mounted read-only.`, 'Mount it writable.');
  return ok('The firmware’s variables can be read.');
}

/** What autoboot.txt says is told by the check of the boot entries; here, whether the firmware finds what it needs beside it. */
async function trybootSettings(files: Reading, boot: Config['boot']): Promise<Finding> {
  for (const dir of [boot.trybootADir, boot.trybootBDir])
    if (!(await files.list(dir)).includes('config.txt'))
      return fail(`${dir} has no config.txt.`, 'Put the firmware’s files there: docs/boot-loaders.md lists them.');
  const mount = await mountOf(files, boot.trybootDir);
  if (mount?.type !== 'vfat')
    return fail(`${boot.trybootDir} is not the FAT partition of autoboot.txt.`, 'Mount it there.');
  if (mount.readOnly) return fail(`${boot.trybootDir} is mounted read-only.`, 'Mount it writable.');
  return ok('The firmware finds autoboot.txt and both boot partitions.');
}

/** Whether it answers is told by the check of the boot entries, which asks it. */
const programSettings = (path: string | undefined): Finding =>
  path === undefined
    ? fail('boot.program is not set.', 'Name the program: docs/boot-program.md has its contract.')
    : ok(`${path} stands for the boot loader; doctor runs it outside of the agent’s sandbox (docs/boot-program.md).`);
