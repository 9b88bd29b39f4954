/** Which boot loader this machine shows signs of, and so which `boot.backend` fits. Pure. */

import type { BackendName } from '../../model.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import { type Finding, warn } from './finding.ts';

/** What can be seen of a boot loader from the running system. */
export type BootFacts = Readonly<{
  /** The firmware is UEFI, not a BIOS. */
  uefi: boolean;
  /** How the boot loader calls itself in the firmware's variable LoaderInfo. */
  loaderInfo?: string;
  /** Where the configuration looks for it, there is an environment of GRUB with our variables. */
  grubFlags: boolean;
  /** How many copies of U-Boot's environment the configured file names. */
  ubootCopies: number;
  /** The firmware itself has started the kernel of a slot. */
  firmwareStartsSlots: boolean;
  /** How the board calls itself. */
  model?: string;
  /** Where the configuration looks for it, there is an autoboot.txt. */
  autoboot: boolean;
  /** A root partition of a slot has a priority among its attribute bits. */
  priorities: boolean;
}>;

/** A backend, and the sign that it fits. */
export type Fit = Readonly<{ backend: BackendName; sign: string }>;

/** The surest first; none where nothing is known. */
export const fittingBackends = (facts: BootFacts): readonly Fit[] =>
  SIGNS.flatMap(({ backend, sign }) => {
    const found = sign(facts);
    return found === undefined ? [] : [{ backend, sign: found }];
  });

type Sign = Readonly<{ backend: BackendName; sign(facts: BootFacts): string | undefined }>;

const SIGNS: readonly Sign[] = [
  {
    backend: 'tryboot',
    sign: ({ model, autoboot }) =>
      model?.startsWith('Raspberry Pi') && autoboot ? `this is a ${model}, and there is an autoboot.txt` : undefined,
  },
  {
    backend: 'systemd-boot',
    sign: ({ loaderInfo }) => (loaderInfo?.startsWith('systemd-boot') ? `${loaderInfo} has started it` : undefined),
  },
  {
    backend: 'grub',
    // Only GRUB's newer releases leave their name, and only when grub.cfg asks them to.
    sign: ({ uefi, loaderInfo, grubFlags }) => {
      if (loaderInfo?.startsWith('GRUB')) return `${loaderInfo} has started it`;
      return uefi && loaderInfo === undefined && grubFlags ? 'there are flags in GRUB’s environment' : undefined;
    },
  },
  {
    backend: 'efi-variables',
    sign: ({ firmwareStartsSlots }) =>
      firmwareStartsSlots ? 'the firmware has started the kernel of a slot' : undefined,
  },
  {
    backend: 'gpt',
    sign: ({ priorities, loaderInfo }) =>
      priorities && !loaderInfo?.startsWith('systemd-boot')
        ? 'the root partitions of the slots carry priorities'
        : undefined,
  },
  {
    backend: 'uboot',
    sign: ({ loaderInfo, ubootCopies }) =>
      loaderInfo === undefined && ubootCopies > 0 ? 'it is known where U-Boot’s environment lies' : undefined,
  },
];

/** The agent arms with what the boot loader can count; the configuration had better say the same. */
export const tooManyTries = (
  tries: number,
  { name, mostTries }: Pick<BootBackend, 'name' | 'mostTries'>,
): Finding | undefined =>
  tries <= mostTries
    ? undefined
    : warn(
        `boot.tries is ${tries}, and ${name} counts ${mostTries} at most.`,
        `Set boot.tries = ${mostTries}; no more are armed anyway.`,
      );
