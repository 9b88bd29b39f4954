/** Changes the entries' folder on the ESP in durable steps. */

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
 * Before a slot is touched: checks that the ESP has room for the new UKI once `disable` has removed the old one. `freeBytes` returns the
 * free space, or throws if the ESP is not writable.
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

/** Writes a UKI durably under a name that no boot loader uses, and reads it back. The slot must be disabled; `arm` makes the file an entry. */
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

/** Checked before any rename or removal. Kernels under assembly count too, because they are renamed as well. */
export async function refuseTwinEntries(esp: Esp): Promise<void> {
  const dir = entriesDir(esp);
  const names = Map.groupBy(await esp.files.list(dir), (file) => versionNamed(esp.product, file));
  for (const [version, files] of names) if (version !== undefined) await refuseTwins(esp, dir, files);
}

/** Renames durably; a file that already has the name is left alone. */
export async function moveEntry(esp: Esp & Readonly<{ log: Log }>, from: string, to: string): Promise<void> {
  const dir = entriesDir(esp);
  // Syncs in any case: an earlier rename may have been interrupted before it was durable.
  if (from === to) return esp.files.syncDir(dir);
  await moveFile(esp.files, join(dir, from), join(dir, to));
  esp.log.info({ from, to }, 'boot entry renamed');
}

/** Removes our files durably; syncs even without any, because an earlier run may have been interrupted before its sync. */
export async function removeEntries(
  esp: Esp & Readonly<{ log: Log }>,
  doomed: readonly Readonly<{ file: string }>[],
): Promise<void> {
  const dir = entriesDir(esp);
  for (const { file } of doomed) await esp.files.remove(join(dir, file));
  await esp.files.syncDir(dir);
  if (doomed.length > 0) esp.log.info({ files: doomed.map((one) => one.file) }, 'boot entries removed');
}

/** The running slot was started from an entry; a folder without it is not the one that the boot loader reads. */
const unmounted = (esp: Esp, target: SlotName): UpdateError =>
  notMounted(`${entriesDir(esp)} has no entry of the running slot ${otherSlot(target)}`, esp.dir);

/** The entries' folder, for assembling UKIs. */
export const folderOf = (esp: Esp): UkiFolder => ({ ...esp, folder: entriesDir(esp) });

/** The running system's entry must never be overwritten, and two entries of one version are indistinguishable. */
export async function refuseVersion(esp: Esp, version: Version): Promise<void> {
  const id = formatEntryName(esp.product, { version }).toLowerCase();
  const { entries } = await readEsp(esp);
  refuseClash(
    esp,
    version,
    entries.find((one) => one.id.toLowerCase() === id),
  );
}

/** Before the slot is touched: the other slot's entry, if the boot loader could not distinguish it from the new one. */
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
    `Version ${version} cannot be put on ${esp.dir}: slot ${clash.slot} already has the entry ${clash.file}.`,
  );
}

const rankOf = ({ id, sortKey, osVersion }: EspEntry) => ({ id, sortKey, osVersion });
