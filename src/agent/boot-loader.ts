/** The boot loader of this host, as its configuration names it. */

import type { Config } from '../config.ts';
import type { Product, Sha256, SlotName } from '../model.ts';
import type { BootBackend } from '../reboot/bootloaders/bootloader.ts';
import { entryKernels } from '../reboot/bootloaders/entry-kernels.ts';
import type { Kernels } from '../reboot/bootloaders/kernels.ts';
import { systemdBoot } from '../reboot/bootloaders/systemd-boot.ts';
import type { Files, ReadPart, WritePart } from '../system/files.ts';
import type { Log } from '../system/log.ts';

export type BootLoader = Readonly<{ backend: BootBackend; kernels: Kernels }>;

type World = Readonly<{
  files: Files;
  readPart: ReadPart;
  writePart: WritePart;
  freeSpace(dir: string): Promise<number>;
  log: Log;
}>;

/** `slotOfRootHash` tells which slot's partitions carry the UUIDs derived from a root hash. */
export function openBootLoader(
  config: Pick<Config, 'boot'>,
  { freeSpace, ...world }: World,
  host: Readonly<{ product: Product; slotOfRootHash(rootHash: Sha256): Promise<SlotName | undefined> }>,
): BootLoader {
  const esp = { ...world, ...host, dir: config.boot.esp };
  return { backend: systemdBoot(esp), kernels: entryKernels(esp, freeSpace) };
}
