/** Reads our boot entries on the EFI system partition: their UKIs and slots. */

import { join } from 'node:path';
import type { Product, Sha256, SlotName } from '../../model.ts';
import { compareRank, type Ranked } from '../bootloaders/boot-order.ts';
import {
  type Counter,
  type EntryName,
  formatEntryName,
  isOurs,
  parseEntryName,
  parseWaitingName,
} from './entry-name.ts';
import { readUki, type Uki, type UkiFiles } from './uki-file.ts';

/** The ESP with our entries. `slotOfRootHash` returns the slot whose partitions carry the UUIDs derived from a root hash. */
export type Esp = UkiFiles &
  Readonly<{ dir: string; product: Product; slotOfRootHash(rootHash: Sha256): Promise<SlotName | undefined> }>;

/** A UKI whose root hash is that of a slot. */
export type EspEntry = Ranked &
  EntryName &
  Readonly<{ file: string; slot: SlotName; rootHash: Sha256; size: number; counter?: Counter }>;

/**
 * `entries` in the boot loader's order; `waiting` are not entries yet; `orphans` have our names but no slot: damaged, truncated, or for a
 * root that no longer exists.
 */
export type EspView = Readonly<{
  entries: readonly EspEntry[];
  waiting: readonly EspEntry[];
  orphans: readonly Readonly<{ file: string; size: number }>[];
}>;

/** All our files in the entries' folder. */
export async function readEsp(esp: Esp): Promise<EspView> {
  const entries: EspEntry[] = [];
  const waiting: EspEntry[] = [];
  const orphans: { file: string; size: number }[] = [];
  for (const file of (await esp.files.list(entriesDir(esp))).filter((name) => isOurs(esp.product, name))) {
    const uki = (await readUki(esp, join(entriesDir(esp), file))) ?? { size: 0 };
    const found = await readEntry(esp, file, uki);
    if (!found) orphans.push({ file, size: uki.size });
    else (parseEntryName(esp.product, file) ? entries : waiting).push(found);
  }
  return { entries: entries.sort(compareRank), waiting, orphans };
}

/** The folder in which the boot loader looks for UKIs. */
export const entriesDir = ({ dir }: Pick<Esp, 'dir'>): string => join(dir, 'EFI', 'Linux');

async function readEntry(esp: Esp, file: string, { content, size }: Uki): Promise<EspEntry | undefined> {
  const waits = parseWaitingName(esp.product, file);
  const name = waits === undefined ? parseEntryName(esp.product, file) : { version: waits };
  const slot = name && content && (await esp.slotOfRootHash(content.rootHash));
  if (!slot) return undefined;
  const id = formatEntryName(esp.product, { version: name.version });
  return { ...content, ...name, id, file, slot, size };
}
