/** Whether the configured boot loader is set up to count tries and fall back. */

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

/** The boot-entries check covers what GRUB reads; this one, whether a power cut could destroy it. */
async function grubSettings(files: Reading, { grubEnvironment: path, esp }: Config['boot']): Promise<Finding> {
  if (!(await startedByUefi(files)))
    return fail(
      'This machine boots through a BIOS, where GRUB cannot start a UKI.',
      'Boot it through UEFI, or use a boot loader that works without.',
    );
  const whole = await Promise.all([path, copyOf(path)].map((one) => hasGrubFlags(files, one)));
  if (!whole.some(Boolean)) return fail(`${path} is damaged or missing.`, 'Recreate it: docs/boot-loaders.md.');
  const seen = join(esp, 'EFI/tandem/grubenv');
  if (path !== seen)
    return warn(
      `The flags are in ${path}, but the grub.cfg that comes with Tandem reads only ${seen}.`,
      `Unless your grub.cfg reads another file, set boot.grub_environment = "${seen}".`,
    );
  if (whole.every(Boolean)) return ok('GRUB’s environment and its copy are intact.');
  return warn('Only one of GRUB’s environment and its copy is intact.', 'The next update rewrites both.');
}

async function efiSettings(files: Reading, dir: string): Promise<Finding> {
  const mount = await mountOf(files, dir);
  if ((await files.list(dir)).length === 0)
    return fail(`${dir} has no variables.`, 'The machine must boot through EFI firmware, with efivarfs mounted.');
  if (mount?.readOnly) return fail(`${mount.path} is mounted read-only.`, 'Mount it writable.');
  return ok('The firmware’s variables are readable.');
}

/** The boot-entries check covers autoboot.txt; this one, whether the firmware finds the other files it needs. */
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

/** The boot-entries check already calls the program; nothing to repeat here. */
const programSettings = (path: string | undefined): Finding =>
  path === undefined
    ? fail('boot.program is not set.', 'Set it to your program; docs/boot-program.md has its contract.')
    : ok(`${path} stands in for the boot loader; doctor runs it outside the agent’s sandbox (docs/boot-program.md).`);
