/** Changes the entries' folder on the ESP, one durable step at a time. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { otherSlot, type SlotName, type Version } from '../../model.ts';
import { moveFile } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import { compareRank } from '../bootloaders/boot-order.ts';
import { notMounted } from '../bootloaders/bootloader.ts';
import { formatEntryName, formatWaitingName, versionNamed } from './entry-name.ts';
import { type Esp, type EspEntry, entriesDir, readEsp } from './esp-entries.ts';
import { refuseTwins } from './twin-names.ts';
import type { IncomingUki, UkiContent } from './uki-file.ts';
import { listParts, type UkiFolder } from './uki-part.ts';
import { refuseFull, writeUki } from './uki-writing.ts';

/**
 * Before a slot is touched: whether the ESP will have room for its new UKI once `disable` has removed the old one. `freeBytes` says how
 * much is free now, or that nothing can be written.
 */
export async function checkEspRoom(
  esp: Esp,
  target: SlotName,
  size: number,
  freeBytes: () => Promise<number>,
): Promise<void> {
  const { entries, waiting, orphans } = await readEsp(esp);
  if (!entries.some((one) => one.slot !== target)) throw unmounted(esp, target);
  const removable = [
    ...entries.filter((one) => one.slot === target),
    ...waiting,
    ...orphans,
    ...(await listParts(folderOf(esp))),
  ];
  refuseFull(esp.dir, size, await freeBytes(), removable);
}

/**
 * Puts a UKI on the ESP under a name that no boot loader takes, durably, and reads it back. The slot must be disabled already; `arm`
 * makes an entry of it.
 */
export async function putUki(
  esp: Esp & Readonly<{ log: Log }>,
  uki: IncomingUki,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const dir = entriesDir(esp);
  const name = formatWaitingName(esp.product, uki.version);
  await refuseVersion(esp, uki.version);
  await esp.files.makeDir(dir);
  await writeUki(esp, join(dir, name), uki, chunks);
  await esp.files.syncDir(dir);
  esp.log.info({ file: name }, 'kernel image put on the ESP');
}

/** Before anything gets another name or is removed. Kernels that are being put together count: they get their name by renaming, too. */
export async function refuseTwinEntries(esp: Esp): Promise<void> {
  const dir = entriesDir(esp);
  const names = Map.groupBy(await esp.files.list(dir), (file) => versionNamed(esp.product, file));
  for (const [version, files] of names) if (version !== undefined) await refuseTwins(esp, dir, files);
}

/** Renames durably; a file that has the name already is left alone. */
export async function moveEntry(esp: Esp & Readonly<{ log: Log }>, from: string, to: string): Promise<void> {
  const dir = entriesDir(esp);
  // An earlier rename may not have been made durable before it was interrupted, so the folder is synced either way.
  if (from === to) return esp.files.syncDir(dir);
  await moveFile(esp.files, join(dir, from), join(dir, to));
  esp.log.info({ from, to }, 'boot entry renamed');
}

/** Removes files of ours durably. Nothing to remove is no reason not to sync: an earlier run may have been stopped before it did. */
export async function removeEntries(
  esp: Esp & Readonly<{ log: Log }>,
  doomed: readonly Readonly<{ file: string }>[],
): Promise<void> {
  const dir = entriesDir(esp);
  for (const { file } of doomed) await esp.files.remove(join(dir, file));
  await esp.files.syncDir(dir);
  if (doomed.length > 0) esp.log.info({ files: doomed.map((one) => one.file) }, 'boot entries removed');
}

/** The running slot was started from an entry; a folder without it is not what the boot loader reads. */
const unmounted = (esp: Esp, target: SlotName): UpdateError =>
  notMounted(`${entriesDir(esp)} has no entry of slot ${otherSlot(target)}, which runs`, esp.dir);

/** The entries' folder as one in which UKIs are put together. */
export const folderOf = (esp: Esp): UkiFolder => ({ ...esp, folder: entriesDir(esp) });

/** The running system's entry must never be overwritten, and two entries of one version cannot be told apart. */
export async function refuseVersion(esp: Esp, version: Version): Promise<void> {
  const id = formatEntryName(esp.product, { version }).toLowerCase();
  const { entries } = await readEsp(esp);
  refuseClash(
    esp,
    version,
    entries.find((one) => one.id.toLowerCase() === id),
  );
}

/** Before the slot is touched: an entry of the other slot that the boot loader could not tell from the one that is to come. */
export async function refuseRivals(esp: Esp, target: SlotName, version: Version, content: UkiContent): Promise<void> {
  const id = formatEntryName(esp.product, { version });
  const others = (await readEsp(esp)).entries.filter((one) => one.slot !== target);
  const isRival = (one: EspEntry): boolean =>
    one.id.toLowerCase() === id.toLowerCase() || compareRank({ ...content, id }, rankOf(one)) === 0;
  refuseClash(esp, version, others.find(isRival));
}

function refuseClash(esp: Esp, version: Version, clash: EspEntry | undefined): void {
  if (!clash) return;
  throw new UpdateError(
    'boot-version-clash',
    `Version ${version} is to be put on ${esp.dir}, but slot ${clash.slot} has the entry ${clash.file} already.`,
  );
}

const rankOf = ({ id, sortKey, osVersion }: EspEntry) => ({ id, sortKey, osVersion });
