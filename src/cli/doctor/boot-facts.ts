/** Looks for signs of the boot loader that started this machine, and compares them with the configuration. */

import { join } from 'node:path';
import { cleanLine } from '../../clean-text.ts';
import type { Config } from '../../config/config.ts';
import { SLOT_NAMES } from '../../model.ts';
import { isSameFile, parseBootOption } from '../../reboot/bootloaders/boot-option.ts';
import { readVariables } from '../../reboot/bootloaders/grub-environment.ts';
import { readFlags } from '../../reboot/bootloaders/grub-flags.ts';
import { kernelName } from '../../reboot/kernels/slot-kernels.ts';
import { VARIABLE_ATTRIBUTES, variableFile } from '../../system/efi-variable-files.ts';
import { type Finding, ok, unknown, warn } from './finding.ts';
import { loaderVariable } from './loader-variables.ts';
import type { Reading } from './reading.ts';
import { type BootSigns, fittingBackends } from './signs.ts';
import { ubootCopies } from './uboot.ts';

/**
 * Whether this machine shows signs of the configured backend. `priorities` tells whether the slots' root partitions carry
 * priorities in their attribute bits.
 */
export async function backendFits(
  files: Reading,
  { boot }: Config,
  priorities: () => Promise<boolean>,
): Promise<Finding> {
  if (boot.backend === 'program') return ok('Your own program stands in for the boot loader.');
  const fits = fittingBackends({ ...(await bootFacts(files, boot)), priorities: await priorities() });
  const configured = fits.find(({ backend }) => backend === boot.backend);
  if (configured) return ok(`${boot.backend} fits: ${configured.sign}.`);
  const [best] = fits;
  if (best)
    return warn(
      `${boot.backend} is configured, but ${best.backend} seems to fit: ${best.sign}.`,
      `If so, set boot.backend = "${best.backend}" (docs/boot-loaders.md).`,
    );
  return unknown(
    `No sign shows which boot loader started this machine; ${boot.backend} is configured.`,
    'Check it against docs/boot-loaders.md.',
  );
}

async function bootFacts(files: Reading, boot: Config['boot']): Promise<Omit<BootSigns, 'priorities'>> {
  const loaderInfo = await loaderVariable(files, 'LoaderInfo');
  const model = await boardModel(files);
  return {
    ...(model === undefined ? {} : { model }),
    autoboot: (await files.list(boot.trybootDir)).includes('autoboot.txt'),
    uefi: await startedByUefi(files),
    ...(loaderInfo === undefined ? {} : { loaderInfo }),
    grubFlags: await hasGrubFlags(files, boot.grubEnvironment),
    ubootCopies: (await ubootCopies(files, boot.ubootEnvironment)) ?? 0,
    firmwareStartsSlots: await firmwareStartsSlots(files, boot.efiVariables),
  };
}

/** Whether the firmware's boot option for this start names the kernel of a slot. */
async function firmwareStartsSlots(files: Reading, dir: string): Promise<boolean> {
  const variable = async (name: string): Promise<Uint8Array> =>
    (await files.readHead(join(dir, variableFile(name)), MOST_BYTES))?.subarray(VARIABLE_ATTRIBUTES) ??
    new Uint8Array(0);
  const [low, high] = await variable('BootCurrent');
  if (low === undefined || high === undefined) return false;
  const number = (low | (high << 8)).toString(16).toUpperCase().padStart(4, '0');
  const file = parseBootOption(await variable(`Boot${number}`))?.file;
  return file !== undefined && SLOT_NAMES.some((slot) => isSameFile(file, kernelName(slot)));
}

/** Whether UEFI firmware, which can start UKIs, started this machine. */
export const startedByUefi = async (files: Reading): Promise<boolean> => (await files.list(FIRMWARE)).length > 0;

/** Whether GRUB finds our flags in this environment. */
export async function hasGrubFlags({ readHead }: Reading, path: string): Promise<boolean> {
  const block = (await readHead(path, MOST_BYTES)) ?? new Uint8Array(0);
  return readFlags(new Map(readVariables(block) ?? [])) !== undefined;
}

const FIRMWARE = '/sys/firmware/efi';
const MOST_BYTES = 64 * 1024;
const LONGEST_NAME = 1024;

async function boardModel({ readHead }: Reading): Promise<string | undefined> {
  const bytes = await readHead('/proc/device-tree/model', LONGEST_NAME);
  return bytes && cleanLine(Buffer.from(bytes).toString('utf8'));
}
