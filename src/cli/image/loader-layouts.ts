/** What each boot loader needs on the EFI system partition of a new disk: one entry per boot loader. */

import type { Architecture } from '../../bundle/manifest.ts';
import type { BackendName, Product, Version } from '../../model.ts';
import { copyOf } from '../../reboot/bootloaders/grub.ts';
import { writeVariables } from '../../reboot/bootloaders/grub-environment.ts';
import { writeFlags } from '../../reboot/bootloaders/grub-flags.ts';
import { NEVER, PROVEN } from '../../reboot/bootloaders/slot-flags.ts';
import { formatEntryName } from '../../reboot/kernels/entry-name.ts';
import { kernelName } from '../../reboot/kernels/slot-kernels.ts';

/** A file of the ESP: its content, or the file with it. */
export type EspFile = Readonly<{ path: string; bytes: Uint8Array } | { path: string; file: string }>;

/** The release, and the files on this machine. */
export type EspInput = Readonly<{
  product: Product;
  version: Version;
  architecture: Architecture;
  loader: string;
  uki: string;
}>;

/** A boot loader that a disk can be built for. */
export type LoaderLayout = Readonly<{
  /** Where its program usually is. */
  places(architecture: Architecture): readonly string[];
  /** How to get it. */
  source(architecture: Architecture): string;
  files(input: EspInput): readonly EspFile[];
}>;

/** The layout, or what such a disk needs instead. */
export const LOADER_LAYOUTS: Readonly<Record<BackendName, LoaderLayout | string>> = {
  'systemd-boot': {
    // With Secure Boot, the signed program.
    places: (architecture) =>
      ['.signed', ''].map((end) => `/usr/lib/systemd/boot/efi/systemd-boot${SUFFIX[architecture]}.efi${end}`),
    source: (architecture) =>
      `install the Debian package systemd-boot-efi:${DEBIAN_NAME[architecture]}, or pass --loader-file`,
    files: ({ product, version, architecture, loader, uki }) => [
      { path: firmwareDefault(architecture), file: loader },
      // `bootctl update` looks here.
      { path: `EFI/systemd/systemd-boot${SUFFIX[architecture]}.efi`, file: loader },
      { path: 'loader/loader.conf', bytes: text(`timeout 0\neditor no\ndefault ${product}_*\n`) },
      { path: `EFI/Linux/${formatEntryName(product, { version })}`, file: uki },
    ],
  },
  grub: {
    places: () => [],
    source: () => 'build it from grub.cfg with grub-mkstandalone (docs/boot-loaders.md), and pass --loader-file',
    files: ({ architecture, loader, uki }) => [
      { path: firmwareDefault(architecture), file: loader },
      { path: kernelName('a'), file: uki },
      { path: GRUB_ENVIRONMENT, bytes: grubFlags() },
      { path: copyOf(GRUB_ENVIRONMENT), bytes: grubFlags() },
    ],
  },
  uboot: 'boot.scr on the ESP, U-Boot and its environment where the board looks for them, and the first flags in it',
  'efi-variables': 'a boot option in the firmware of each machine',
  gpt: 'a boot loader that reads the attribute bits of its own partition type',
  tryboot: 'three FAT partitions with the files of the firmware',
  program: 'whatever your program expects',
};

/** Where grub.cfg reads its flags. */
export const GRUB_ENVIRONMENT = 'EFI/tandem/grubenv';

/** What firmware starts if it has no boot option: all that a new disk can rely on. */
export const firmwareDefault = (architecture: Architecture): string =>
  `EFI/BOOT/BOOT${SUFFIX[architecture].toUpperCase()}.EFI`;

const SUFFIX: Readonly<Record<Architecture, string>> = { 'x86-64': 'x64', arm64: 'aa64' };

const DEBIAN_NAME: Readonly<Record<Architecture, string>> = { 'x86-64': 'amd64', arm64: 'arm64' };

/** Slot a is proven, and nothing is in slot b. */
const grubFlags = (): Uint8Array =>
  writeVariables(undefined, writeFlags({ first: 'a', slots: { a: PROVEN, b: NEVER } }));

const text = (lines: string): Uint8Array => new TextEncoder().encode(lines);
