/** Which boot loader this machine shows signs of, and so which `boot.backend` fits. Pure. */

import type { Config } from '../config.ts';

type Backend = Config['boot']['backend'];

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
}>;

/** A backend, and the sign that it fits. */
export type Fit = Readonly<{ backend: Backend; sign: string }>;

/** The surest first; none where nothing is known. */
export const fittingBackends = (facts: BootFacts): readonly Fit[] =>
  SIGNS.flatMap(({ backend, sign }) => {
    const found = sign(facts);
    return found === undefined ? [] : [{ backend, sign: found }];
  });

type Sign = Readonly<{ backend: Backend; sign(facts: BootFacts): string | undefined }>;

const SIGNS: readonly Sign[] = [
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
    backend: 'uboot',
    sign: ({ loaderInfo, ubootCopies }) =>
      loaderInfo === undefined && ubootCopies > 0 ? 'it is known where U-Boot’s environment lies' : undefined,
  },
];
