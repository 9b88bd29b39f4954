/** Kernels for boot loaders that start a fixed file per slot: `EFI/tandem/a.efi` and `EFI/tandem/b.efi` on the ESP. */

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

/** `dir`: the ESP's mount point. */
export type KernelEsp = UkiFiles & Readonly<{ dir: string; product: Product; log: Log }>;

/** The file that the boot loader starts, relative to the root of the ESP. */
export const kernelName = (slot: SlotName): string => `EFI/tandem/${slot}.efi`;

/** `writableSpace` returns the writable bytes of a folder. */
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

/** Removes the old kernel first, because there is no room for three and FAT cannot replace a file atomically. The slot is disabled, so nothing starts it. */
async function put(at: Place, target: SlotName, uki: IncomingUki, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = `${pathOf(at, target)}${TEMPORARY}`;
  await clear(at, target);
  await writeUki(at, temporary, uki, chunks);
  await moveFile(at.files, temporary, pathOf(at, target));
  at.log.info({ slot: target, version: uki.version }, 'kernel image put on the ESP');
}

/** Keeps the folder, and removes every present or temporary kernel of the slot. */
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

/** Without the mount, the kernel would be written where no boot loader sees it. The running slot's kernel tells whether it is mounted. */
async function refuseUnmounted(at: Place, target: SlotName): Promise<void> {
  const running = pathOf(at, otherSlot(target));
  if ((await sizeOf(at, running)) > 0) return;
  throw notMounted(`${running}, the kernel of the running slot, is missing`, at.dir);
}

/** The running system was started from one of them. */
async function needAny(at: Place): Promise<void> {
  for (const slot of SLOT_NAMES) if ((await sizeOf(at, pathOf(at, slot))) > 0) return;
  throw notMounted(`${at.folder} has no kernel of either slot`, at.dir);
}

/** The names that a kernel has in turn. The other slot may have the same kernel, as a file of its own. */
async function refuseShared(at: Place, target: SlotName): Promise<void> {
  const temporaries = (await at.files.list(at.folder)).filter((name) => name.endsWith(TEMPORARY));
  const parts = (await listParts(at)).map(({ file }) => file);
  const other = fileOf(otherSlot(target));
  const others = temporaries.includes(`${other}${TEMPORARY}`) ? [other] : [];
  await refuseTwins(at, at.folder, [fileOf(target), ...temporaries, ...parts, ...others]);
}

/** The files to be removed before the slot's new kernel is written. */
async function removable(at: Place, target: SlotName): Promise<readonly Readonly<{ size: number }>[]> {
  const files = (await at.files.list(at.folder)).filter((file) => file.endsWith(TEMPORARY) || file === fileOf(target));
  const sizes = await Promise.all(files.map(async (file) => ({ size: await sizeOf(at, join(at.folder, file)) })));
  return [...sizes, ...(await listParts(at))];
}

const contentOf = async (at: Place, slot: SlotName): Promise<UkiContent | undefined> =>
  (await readUki(at, pathOf(at, slot)))?.content;
