/** Signs of a boot loader on this machine, and the `boot.backend` that fits. Pure. */

import type { BackendName } from '../../model.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import { type Finding, warn } from './finding.ts';

/** Traces of a boot loader in the running system. */
export type BootSigns = Readonly<{
  /** The firmware is UEFI, not a BIOS. */
  uefi: boolean;
  /** The boot loader's name in the firmware variable LoaderInfo. */
  loaderInfo?: string;
  /** The configured GRUB environment holds our variables. */
  grubFlags: boolean;
  /** The number of copies of U-Boot's environment in the configured file. */
  ubootCopies: number;
  /** The firmware itself started the kernel of a slot. */
  firmwareStartsSlots: boolean;
  /** The model name of the board. */
  model?: string;
  /** The configured folder has an autoboot.txt. */
  autoboot: boolean;
  /** A root partition of a slot has a priority in its attribute bits. */
  priorities: boolean;
}>;

/** A backend, and the sign that it fits. */
export type Fit = Readonly<{ backend: BackendName; sign: string }>;

/** The surest sign first; empty where none is found. */
export const fittingBackends = (facts: BootSigns): readonly Fit[] =>
  SIGNS.flatMap(({ backend, sign }) => {
    const found = sign(facts);
    return found === undefined ? [] : [{ backend, sign: found }];
  });

type Sign = Readonly<{ backend: BackendName; sign(facts: BootSigns): string | undefined }>;

const SIGNS: readonly Sign[] = [
  {
    backend: 'tryboot',
    sign: ({ model, autoboot }) =>
      model?.startsWith('Raspberry Pi') && autoboot ? `this is a ${model}, and it has an autoboot.txt` : undefined,
  },
  {
    backend: 'systemd-boot',
    sign: ({ loaderInfo }) => (loaderInfo?.startsWith('systemd-boot') ? `${loaderInfo} started it` : undefined),
  },
  {
    backend: 'grub',
    // Only GRUB's newer releases leave their name, and only when grub.cfg asks them to.
    sign: ({ uefi, loaderInfo, grubFlags }) => {
      if (loaderInfo?.startsWith('GRUB')) return `${loaderInfo} started it`;
      return uefi && loaderInfo === undefined && grubFlags ? 'GRUB’s environment has flags' : undefined;
    },
  },
  {
    backend: 'efi-variables',
    sign: ({ firmwareStartsSlots }) => (firmwareStartsSlots ? 'the firmware started the kernel of a slot' : undefined),
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
      loaderInfo === undefined && ubootCopies > 0 ? 'the location of U-Boot’s environment is configured' : undefined,
  },
];

/** The agent arms no more tries than the boot loader can count; the configuration should agree. */
export const tooManyTries = (
  tries: number,
  { name, mostTries }: Pick<BootBackend, 'name' | 'mostTries'>,
): Finding | undefined =>
  tries <= mostTries
    ? undefined
    : warn(
        `boot.tries is ${tries}, but ${name} counts at most ${mostTries}.`,
        `Set boot.tries = ${mostTries}; the agent arms no more anyway.`,
      );
