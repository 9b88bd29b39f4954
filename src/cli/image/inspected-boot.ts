/** The boot entries on the EFI system partition, read with the code of the agent's boot loaders from copies of the files. */

import { join } from 'node:path';
import type { Product, Sha256, SlotName } from '../../model.ts';
import { SLOT_NAMES } from '../../model.ts';
import type { GptEntry } from '../../partitions/gpt.ts';
import { flagsBackend } from '../../reboot/bootloaders/flags-backend.ts';
import { grubStore } from '../../reboot/bootloaders/grub.ts';
import { loaderConfFaults } from '../../reboot/bootloaders/loader-conf.ts';
import { readEsp } from '../../reboot/kernels/esp-entries.ts';
import { slotKernels } from '../../reboot/kernels/slot-kernels.ts';
import { readUki } from '../../reboot/kernels/uki-file.ts';
import { readHead, readPart, realFiles, writePart } from '../../system/files.ts';
import { silentLog } from '../../system/log.ts';
import { isOnEsp, takeFiles } from './esp-files.ts';
import { isNamedBy, type SlotParts } from './inspected-slots.ts';
import type { Inspection } from './inspection.ts';
import { GRUB_ENVIRONMENT } from './loader-layouts.ts';

/** A kernel that a boot loader may start. `left`: the tries that remain, if they are counted. */
export type InspectedEntry = Readonly<{
  file: string;
  slot?: SlotName;
  version?: string;
  rootHash?: Sha256;
  left?: number;
}>;

/** `next`: the slot that starts if nothing else is chosen in the firmware. Entries in the boot loader's order. */
export type InspectedBoot = Readonly<{
  loader: 'systemd-boot' | 'grub' | 'unknown';
  next?: SlotName;
  entries: readonly InspectedEntry[];
  faults: readonly string[];
}>;

export async function bootOf(esp: GptEntry, slots: SlotParts, inspection: Inspection): Promise<InspectedBoot> {
  const taken = await takeFiles(esp, inspection);
  const dir = inspection.scratch.path(taken.folder);
  const world = { files: realFiles, readPart, writePart, log: silentLog, dir };
  const slotOfRootHash = async (hash: Sha256): Promise<SlotName | undefined> =>
    SLOT_NAMES.find((name) => slots[name] && isNamedBy(hash, slots[name]));
  const found = isOnEsp(taken, GRUB_ENVIRONMENT)
    ? await grubView(world, slotOfRootHash)
    : await entriesView(world, taken.products, slotOfRootHash);
  return { ...found, faults: [...taken.faults, ...found.faults, ...faultsOf(found)] };
}

type World = Readonly<{
  files: typeof realFiles;
  readPart: typeof readPart;
  writePart: typeof writePart;
  log: typeof silentLog;
  dir: string;
}>;
type SlotOf = (hash: Sha256) => Promise<SlotName | undefined>;

/** systemd-boot takes the first entry that has tries left. */
async function entriesView(world: World, products: readonly Product[], slotOfRootHash: SlotOf): Promise<InspectedBoot> {
  const entries: InspectedEntry[] = [];
  const faults: string[] = [];
  let next: SlotName | undefined;
  for (const product of products) {
    const { entries: own, orphans } = await readEsp({ ...world, product, slotOfRootHash });
    next ??= own[0]?.slot;
    entries.push(
      ...own.map(({ file, slot, version, rootHash, counter }) => ({
        file,
        slot,
        version,
        rootHash,
        ...(counter ? { left: counter.left } : {}),
      })),
      ...(await Promise.all(orphans.map(({ file }) => strayEntry(world, file)))),
    );
    faults.push(
      ...(await loaderConfFaults(readHead, world.dir, product)).map((fault) => fault.replaceAll(`${world.dir}/`, '')),
    );
  }
  return { loader: entries.length > 0 ? 'systemd-boot' : 'unknown', ...(next ? { next } : {}), entries, faults };
}

/** Of no slot on this disk. */
async function strayEntry(world: World, file: string): Promise<InspectedEntry> {
  const content = (await readUki(world, join(world.dir, 'EFI/Linux', file)))?.content;
  return content
    ? { file, rootHash: content.rootHash, ...(content.version ? { version: content.version } : {}) }
    : { file };
}

async function grubView(world: World, slotOfRootHash: SlotOf): Promise<InspectedBoot> {
  const kernels = slotKernels({ ...world, product: '' as Product }, async () => 0);
  const backend = flagsBackend(grubStore({ ...world, path: join(world.dir, GRUB_ENVIRONMENT) }), kernels.versionOf);
  const { next, slots, isLost } = await backend.read();
  const faults: string[] = isLost ? ['GRUB’s environment names no proven slot'] : [];
  const entries: InspectedEntry[] = [];
  for (const slot of SLOT_NAMES) {
    const rootHash = await kernels.rootHash(slot);
    if (rootHash === undefined) continue;
    const { version, triesLeft } = slots[slot];
    if ((await slotOfRootHash(rootHash)) !== slot) faults.push(`the kernel of slot ${slot} does not start its root`);
    const left = triesLeft === undefined ? {} : { left: triesLeft };
    entries.push({ file: `${slot}.efi`, slot, ...(version ? { version } : {}), rootHash, ...left });
  }
  return { loader: 'grub', ...(next ? { next } : {}), entries, faults };
}

const faultsOf = ({ next, entries }: InspectedBoot): string[] => [
  ...(next === undefined ? ['no boot entry starts a slot of this disk'] : []),
  ...entries
    .filter(({ slot }) => slot === undefined)
    .slice(0, 5)
    .map(({ file }) => `${file} belongs to no slot of this disk`),
];
