/** Kernels for systemd-boot: the UKIs that are its boot entries. */

import { join } from 'node:path';
import type { SlotName } from '../../model.ts';
import type { Log } from '../../system/log.ts';
import { formatWaitingName } from './entry-name.ts';
import { type Esp, entriesDir, readEsp } from './esp-entries.ts';
import { checkEspRoom, folderOf, putUki, refuseRivals, refuseVersion } from './esp-writing.ts';
import type { Kernels } from './kernels.ts';
import { type FileReader, fileReader, promisedContent } from './uki-file.ts';
import { adoptUkiPart, openUkiPart, removeUkiParts } from './uki-part.ts';

/** `writableSpace` returns the writable bytes of a folder. */
export const entryKernels = (
  esp: Esp & Readonly<{ log: Log }>,
  writableSpace: (dir: string) => Promise<number>,
): Kernels => ({
  checkRoom: async (target, size) => checkEspRoom(esp, target, size, () => writableSpace(esp.dir)),
  checkFit: async (target, uki, content) => refuseRivals(esp, target, uki.version, await promisedContent(content, uki)),
  put: (_target, uki, chunks) => putUki(esp, uki, chunks),
  open: (slot) => openEntry(esp, slot),
  openPart: (_target, version, size) => openUkiPart(folderOf(esp), version, size),
  adoptPart: (_target, uki) =>
    adoptUkiPart(folderOf(esp), uki, formatWaitingName(esp.product, uki.version), () =>
      refuseVersion(esp, uki.version),
    ),
  removeParts: () => removeUkiParts(folderOf(esp)),
  rootHash: (slot) => rootHashOf(esp, slot),
});

/** The UKI from which the slot starts, or will once armed. */
async function openEntry(esp: Esp, slot: SlotName): Promise<FileReader | undefined> {
  const { entries, waiting } = await readEsp(esp);
  const own = entries.filter((one) => one.slot === slot);
  const entry = own.find((one) => one.counter === undefined) ?? own[0] ?? waiting.find((one) => one.slot === slot);
  return entry && fileReader(esp, join(entriesDir(esp), entry.file), entry.size);
}

/** The waiting kernel before the entry; a confirmed entry before another. */
async function rootHashOf(esp: Esp, slot: SlotName) {
  const { waiting, entries } = await readEsp(esp);
  const own = entries.filter((one) => one.slot === slot);
  const found = waiting.find((one) => one.slot === slot) ?? own.find((one) => one.counter === undefined) ?? own.at(-1);
  return found?.rootHash;
}
