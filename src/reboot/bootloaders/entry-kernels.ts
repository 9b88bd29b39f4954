/** The kernels of slots whose boot loader is systemd-boot: the UKIs that are its boot entries. */

import type { SlotName } from '../../model.ts';
import type { Log } from '../../system/log.ts';
import { type Esp, readEsp } from './esp-entries.ts';
import { checkEspRoom, putUki } from './esp-writing.ts';
import type { Kernels } from './kernels.ts';
import { adoptUkiPart, openUki, openUkiPart, removeUkiParts } from './uki-part.ts';

/** `freeSpace` tells how many bytes are free in a folder. */
export const entryKernels = (
  esp: Esp & Readonly<{ log: Log }>,
  freeSpace: (dir: string) => Promise<number>,
): Kernels => ({
  checkRoom: async (target, size) => checkEspRoom(esp, target, size, await freeSpace(esp.dir)),
  put: (_target, uki, chunks) => putUki(esp, uki, chunks),
  open: (slot) => openUki(esp, slot),
  openPart: (version, size) => openUkiPart(esp, version, size),
  adoptPart: (_target, uki) => adoptUkiPart(esp, uki),
  removeParts: () => removeUkiParts(esp),
  rootHash: (slot) => rootHashOf(esp, slot),
});

/** Of the waiting kernel before the one that is an entry; of a proven entry before another. */
async function rootHashOf(esp: Esp, slot: SlotName) {
  const { waiting, entries } = await readEsp(esp);
  const own = entries.filter((one) => one.slot === slot);
  const found = waiting.find((one) => one.slot === slot) ?? own.find((one) => one.counter === undefined) ?? own.at(-1);
  return found?.rootHash;
}
