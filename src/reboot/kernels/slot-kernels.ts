/** The kernels of slots whose boot loader starts a fixed name for each: `EFI/tandem/a.efi` and `EFI/tandem/b.efi` on the ESP. */

import { join } from 'node:path';
import { otherSlot, type Product, SLOT_NAMES, type SlotName } from '../../model.ts';
import { moveFile, removeFile, removeTemporaries, TEMPORARY } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import { notMounted } from '../bootloaders/bootloader.ts';
import type { SlotVersion } from '../bootloaders/flags-backend.ts';
import type { Kernels } from './kernels.ts';
import { refuseTwins } from './twin-names.ts';
import {
  fileReader,
  type IncomingUki,
  promisedContent,
  readUki,
  sizeOf,
  type UkiContent,
  type UkiFiles,
  versionIn,
} from './uki-file.ts';
import { adoptUkiPart, listParts, openUkiPart, removeUkiParts, type UkiFolder } from './uki-part.ts';
import { refuseFull, writeUki } from './uki-writing.ts';

/** `dir` is where the ESP is mounted. */
export type KernelEsp = UkiFiles & Readonly<{ dir: string; product: Product; log: Log }>;

/** The name that the boot loader starts, below the root of the ESP. */
export const kernelName = (slot: SlotName): string => `EFI/tandem/${slot}.efi`;

/** `writableSpace` tells how many bytes can be written in a folder. */
export function slotKernels(
  esp: KernelEsp,
  writableSpace: (dir: string) => Promise<number>,
): Kernels & Readonly<{ versionOf: SlotVersion }> {
  const at: Place = { ...esp, folder: join(esp.dir, 'EFI', 'tandem') };
  return {
    checkRoom: async (target, size) => {
      await refuseUnmounted(at, target);
      refuseFull(esp.dir, size, await writableSpace(esp.dir), await removable(at, target));
    },
    checkFit: async (target, uki, content) => {
      await promisedContent(content, uki);
      await refuseUnfit(at, target);
    },
    put: (target, uki, chunks) => put(at, target, uki, chunks),
    open: async (slot) => {
      const size = await sizeOf(at, pathOf(at, slot));
      return size === 0 ? undefined : fileReader(at, pathOf(at, slot), size);
    },
    openPart: async (target, version, size) => {
      await clear(at, target);
      return openUkiPart(at, version, size);
    },
    adoptPart: async (target, uki) => {
      await refuseUnfit(at, target);
      return adoptUkiPart(at, uki, fileOf(target), () => clear(at, target));
    },
    removeParts: () => removeUkiParts(at),
    rootHash: async (slot) => (await contentOf(at, slot))?.rootHash,
    versionOf: async (slot) => {
      await needAny(at);
      return versionIn(await contentOf(at, slot));
    },
  };
}

type Place = UkiFolder & Pick<KernelEsp, 'dir' | 'log'>;

const fileOf = (slot: SlotName): string => `${slot}.efi`;
const pathOf = ({ folder }: UkiFolder, slot: SlotName): string => join(folder, fileOf(slot));

/**
 * The old kernel goes first, since there is no room for three, and since FAT cannot put one file in another's place at one stroke. Its
 * slot is disabled, so nothing starts it.
 */
async function put(at: Place, target: SlotName, uki: IncomingUki, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = `${pathOf(at, target)}${TEMPORARY}`;
  await clear(at, target);
  await writeUki(at, temporary, uki, chunks);
  await moveFile(at.files, temporary, pathOf(at, target));
  at.log.info({ slot: target, version: uki.version }, 'kernel image put on the ESP');
}

/** Leaves the folder there, and nothing in it that has or was to have the slot's name. */
async function clear(at: Place, target: SlotName): Promise<void> {
  await refuseUnfit(at, target);
  await at.files.makeDir(at.folder);
  await removeTemporaries(at.files, at.folder);
  await removeFile(at.files, pathOf(at, target));
}

async function refuseUnfit(at: Place, target: SlotName): Promise<void> {
  await refuseUnmounted(at, target);
  await refuseShared(at, target);
}

/** A folder on which nothing is mounted would take a kernel that no boot loader sees; it lacks the one that we were started from. */
async function refuseUnmounted(at: Place, target: SlotName): Promise<void> {
  const running = pathOf(at, otherSlot(target));
  if ((await sizeOf(at, running)) > 0) return;
  throw notMounted(`${running}, the kernel of the running slot, is not there`, at.dir);
}

/** The running system was started from one of them. */
async function needAny(at: Place): Promise<void> {
  for (const slot of SLOT_NAMES) if ((await sizeOf(at, pathOf(at, slot))) > 0) return;
  throw notMounted(`${at.folder} has no kernel of either slot`, at.dir);
}

/** Of the names that kernels have in turn. The other slot may well have the same kernel, as a file of its own. */
async function refuseShared(at: Place, target: SlotName): Promise<void> {
  const temporaries = (await at.files.list(at.folder)).filter((name) => name.endsWith(TEMPORARY));
  const parts = (await listParts(at)).map(({ file }) => file);
  const other = fileOf(otherSlot(target));
  const others = temporaries.includes(`${other}${TEMPORARY}`) ? [other] : [];
  await refuseTwins(at, at.folder, [fileOf(target), ...temporaries, ...parts, ...others]);
}

/** What will be gone before the slot's new kernel is written. */
async function removable(at: Place, target: SlotName): Promise<readonly Readonly<{ size: number }>[]> {
  const files = (await at.files.list(at.folder)).filter((file) => file.endsWith(TEMPORARY) || file === fileOf(target));
  const sizes = await Promise.all(files.map(async (file) => ({ size: await sizeOf(at, join(at.folder, file)) })));
  return [...sizes, ...(await listParts(at))];
}

const contentOf = async (at: Place, slot: SlotName): Promise<UkiContent | undefined> =>
  (await readUki(at, pathOf(at, slot)))?.content;
