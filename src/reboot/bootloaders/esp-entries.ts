/** Reads our boot entries from the EFI system partition: which UKI lies there, and to which slot it belongs. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { type Product, SHA256_PATTERN, type Sha256, type SlotName } from '../../model.ts';
import type { Files } from '../../system/files.ts';
import { commandLineValues, osReleaseValue, ukiText } from '../../system/pe.ts';
import { compareRank, type Ranked } from './boot-order.ts';
import {
  type Counter,
  type EntryName,
  formatEntryName,
  isOurs,
  parseEntryName,
  parseWaitingName,
} from './entry-name.ts';

/** Where the entries lie. `slotOfRootHash` tells which slot's partitions carry the UUIDs derived from a root hash, if any do. */
export type Esp = Readonly<{
  files: Files;
  dir: string;
  product: Product;
  slotOfRootHash(rootHash: Sha256): Promise<SlotName | undefined>;
}>;

/** A UKI whose root hash one of the slots holds. */
export type EspEntry = Ranked &
  EntryName &
  Readonly<{ file: string; slot: SlotName; rootHash: Sha256; size: number; counter?: Counter }>;

/**
 * `entries` in the boot loader's order; `waiting` are not entries yet; `orphans` are ours by name but belong to no slot: damaged,
 * cut short, or for a root that is no longer there.
 */
export type EspView = Readonly<{
  entries: readonly EspEntry[];
  waiting: readonly EspEntry[];
  orphans: readonly Readonly<{ file: string; size: number }>[];
}>;

/** Everything of ours in the entries' folder. */
export async function readEsp(esp: Esp): Promise<EspView> {
  const entries: EspEntry[] = [];
  const waiting: EspEntry[] = [];
  const orphans: { file: string; size: number }[] = [];
  for (const file of (await esp.files.list(entriesDir(esp))).filter((name) => isOurs(esp.product, name))) {
    const bytes = (await esp.files.read(join(entriesDir(esp), file))) ?? new Uint8Array();
    const found = await readEntry(esp, file, bytes);
    if (!found) orphans.push({ file, size: bytes.length });
    else (parseEntryName(esp.product, file) ? entries : waiting).push(found);
  }
  return { entries: entries.sort(compareRank), waiting, orphans };
}

/** The folder in which the boot loader looks for UKIs. */
export const entriesDir = ({ dir }: Pick<Esp, 'dir'>): string => join(dir, 'EFI', 'Linux');

/** The one root hash that a UKI's command line names; undefined when it names none, or two. */
export function rootHashOf(uki: Uint8Array): Sha256 | undefined {
  const [hash, ...more] = commandLineValues(ukiText(uki, '.cmdline') ?? '', 'roothash');
  return hash !== undefined && SHA256_PATTERN.test(hash) && more.length === 0 ? (hash as Sha256) : undefined;
}

async function readEntry(esp: Esp, file: string, uki: Uint8Array): Promise<EspEntry | undefined> {
  const waits = parseWaitingName(esp.product, file);
  const name = waits === undefined ? parseEntryName(esp.product, file) : { version: waits };
  const content = readUki(uki);
  const slot = name && content && (await esp.slotOfRootHash(content.rootHash));
  if (!slot) return undefined;
  const id = formatEntryName(esp.product, { version: name.version });
  return { ...name, ...content, id, file, slot, size: uki.length };
}

/** What the boot loader and we read from a UKI; undefined when it is damaged or lacks what the boot loader asks for. */
function readUki(uki: Uint8Array): Pick<EspEntry, 'rootHash' | 'sortKey' | 'osVersion'> | undefined {
  try {
    const rootHash = rootHashOf(uki);
    const release = ukiText(uki, '.osrel');
    if (rootHash === undefined || release === undefined) return undefined;
    return {
      rootHash,
      sortKey: first(release, ['IMAGE_ID', 'ID']),
      osVersion: first(release, ['IMAGE_VERSION', 'VERSION', 'VERSION_ID', 'BUILD_ID']),
    };
  } catch (error) {
    if (error instanceof UpdateError && error.code === 'uki-invalid') return undefined;
    throw error;
  }
}

const first = (release: string, keys: readonly string[]): string | undefined =>
  keys.map((key) => osReleaseValue(release, key)).find((value) => value !== undefined);
