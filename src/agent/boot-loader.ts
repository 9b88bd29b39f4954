/** The configured boot loader of this host. */

import type { Config } from '../config/config.ts';
import { UpdateError } from '../errors.ts';
import type { BackendName, Product, Sha256, SlotName } from '../model.ts';
import { type BootFiles, bootFiles } from '../reboot/bootloaders/boot-files.ts';
import type { PartitionPlace } from '../reboot/bootloaders/boot-option.ts';
import type { BootBackend } from '../reboot/bootloaders/bootloader.ts';
import { efiVariablesBackend } from '../reboot/bootloaders/efi-variables.ts';
import { flagsBackend, type SlotVersion } from '../reboot/bootloaders/flags-backend.ts';
import { type AttributeTable, gptStore } from '../reboot/bootloaders/gpt-attributes.ts';
import { grubStore } from '../reboot/bootloaders/grub.ts';
import { programStore } from '../reboot/bootloaders/program.ts';
import { systemdBoot } from '../reboot/bootloaders/systemd-boot.ts';
import { trybootStore } from '../reboot/bootloaders/tryboot.ts';
import { ubootFlags } from '../reboot/bootloaders/uboot.ts';
import { entryKernels } from '../reboot/kernels/entry-kernels.ts';
import type { Kernels } from '../reboot/kernels/kernels.ts';
import { slotKernels } from '../reboot/kernels/slot-kernels.ts';
import { trybootKernels } from '../reboot/kernels/tryboot-kernels.ts';
import { efiVariableFiles } from '../system/efi-variable-files.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Exec } from '../system/process/exec.ts';

export type BootLoader = Readonly<{ backend: BootBackend; kernels: Kernels }>;

type LoaderWorld = BootFiles & Readonly<{ exec: Exec; log: Log }>;

type BootHost = Readonly<{
  product: Product;
  slotOfRootHash(rootHash: Sha256): Promise<SlotName | undefined>;
  attributes: AttributeTable;
  /** The place of the partition mounted at `dir`. */
  placeOf(dir: string): Promise<PartitionPlace>;
}>;

/** `slotOfRootHash` tells which slot's partitions carry the UUIDs derived from a root hash. */
export const openBootLoader = ({ boot }: Pick<Config, 'boot'>, outside: LoaderWorld, host: BootHost): BootLoader =>
  OPENERS[boot.backend](boot, { ...outside, ...bootFiles(outside), ...host, firmware: outside.files });

/** As configured, but no more than the boot loader can count. */
export function triesToArm({ boot: { tries } }: Pick<Config, 'boot'>, backend: BootBackend, log: Log): number {
  const { name, mostTries } = backend;
  if (tries > mostTries) log.warn({ tries, mostTries }, `boot.tries is more than ${name} can count`);
  return Math.min(tries, mostTries);
}

type Boot = Config['boot'];
/** `firmware` is the folder in which Linux shows the variables: errors there come from the firmware, not from a partition. */
type BootWorld = LoaderWorld & BootHost & Readonly<{ firmware: Files }>;

const OPENERS: Readonly<Record<BackendName, (boot: Boot, world: BootWorld) => BootLoader>> = {
  'systemd-boot': (boot, world) => {
    const esp = { ...world, dir: boot.esp };
    return { backend: systemdBoot(esp), kernels: entryKernels(esp, world.writableSpace) };
  },
  grub: onEsp((boot, world, versionOf) => flagsBackend(grubStore({ ...world, path: boot.grubEnvironment }), versionOf)),
  uboot: onEsp((boot, { exec }, versionOf) => flagsBackend(ubootFlags(exec, boot.ubootEnvironment), versionOf)),
  'efi-variables': onEsp((boot, { firmware, placeOf }, versionOf) =>
    efiVariablesBackend(efiVariableFiles(firmware, boot.efiVariables), versionOf, () => placeOf(boot.esp)),
  ),
  gpt: onEsp((_boot, { attributes }, versionOf) => flagsBackend(gptStore(attributes), versionOf)),
  tryboot: (boot, world) => {
    // Here each slot has its own boot partition, and so does its kernel.
    const dirs = { a: boot.trybootADir, b: boot.trybootBDir };
    const partitions = { a: boot.trybootAPartition, b: boot.trybootBPartition };
    const kernels = trybootKernels({ ...world, dirs }, world.writableSpace);
    const store = trybootStore({ ...world, partitions, dir: boot.trybootDir });
    return { backend: flagsBackend(store, kernels.versionOf), kernels };
  },
  program: onEsp((boot, world, versionOf) =>
    flagsBackend(programStore({ ...world, path: programOf(boot), mostTries: boot.programTries }), versionOf),
  ),
};

/** A boot loader that starts a kernel of a fixed name for each slot. */
function onEsp(backend: (boot: Boot, world: BootWorld, versionOf: SlotVersion) => BootBackend) {
  return (boot: Boot, world: BootWorld): BootLoader => {
    const kernels = slotKernels({ ...world, dir: boot.esp }, world.writableSpace);
    return { backend: backend(boot, world, kernels.versionOf), kernels };
  };
}

function programOf({ program }: Config['boot']): string {
  if (program !== undefined) return program;
  throw new UpdateError('config-invalid', 'boot.backend is “program”, but boot.program is not set.');
}
