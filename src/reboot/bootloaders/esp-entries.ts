/** Reads our boot entries from the EFI system partition: which UKI lies there, and to which slot it belongs. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { type Product, SHA256_PATTERN, type Sha256, type SlotName } from '../../model.ts';
import { type Files, type ReadPart, readPartOf, type WritePart } from '../../system/files.ts';
import { commandLineValues, onlySection, osReleaseValue, peSections, sectionText } from '../../system/pe.ts';
import { compareRank, type Ranked } from './boot-order.ts';
import {
  type Counter,
  type EntryName,
  formatEntryName,
  isOurs,
  isPart,
  parseEntryName,
  parseWaitingName,
} from './entry-name.ts';

/**
 * Where the entries lie. `readPart` reads and `writePart` writes a part of a file without the rest; without them whole files are. `slotOfRootHash` tells which slot's partitions carry the UUIDs derived from a root hash, if any do.
 */
export type Esp = Readonly<{
  files: Files;
  dir: string;
  readPart?: ReadPart;
  writePart?: WritePart;
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
    const uki = await readUki(esp, join(entriesDir(esp), file));
    const found = await readEntry(esp, file, uki);
    if (!found) orphans.push({ file, size: uki.size });
    else (parseEntryName(esp.product, file) ? entries : waiting).push(found);
  }
  return { entries: entries.sort(compareRank), waiting, orphans };
}

/** UKIs that are or were being put together here. */
export async function listParts(esp: Esp): Promise<readonly Readonly<{ file: string; size: number }>[]> {
  const part = esp.readPart ?? readPartOf(esp.files);
  const files = (await esp.files.list(entriesDir(esp))).filter((file) => isPart(esp.product, file));
  return Promise.all(
    files.map(async (file) => ({ file, size: (await part(join(entriesDir(esp), file), 0, 0))?.size ?? 0 })),
  );
}

/** The folder in which the boot loader looks for UKIs. */
export const entriesDir = ({ dir }: Pick<Esp, 'dir'>): string => join(dir, 'EFI', 'Linux');

/** What the boot loader and we read from a UKI: a few pages of a file that may be large. Without `content` it is damaged. */
export async function readUki(esp: Esp, path: string): Promise<Uki> {
  const part = esp.readPart ?? readPartOf(esp.files);
  const head = await part(path, 0, HEAD);
  if (!head) return { size: 0 };
  try {
    const sections = peSections(head.bytes, head.size);
    const text = async (name: string): Promise<string | undefined> => {
      const found = onlySection(sections, name);
      if (found && found.size > HEAD) return undefined;
      const read = found && (await part(path, found.offset, found.size));
      return read && sectionText(read.bytes, name);
    };
    return { size: head.size, ...contentOf(await text('.cmdline'), await text('.osrel')) };
  } catch (error) {
    if (error instanceof UpdateError && error.code === 'uki-invalid') return { size: head.size };
    throw error;
  }
}

type Content = Pick<EspEntry, 'rootHash' | 'sortKey' | 'osVersion'>;
type Uki = Readonly<{ size: number; content?: Content }>;

// The headers, and at most a command line or an os-release.
const HEAD = 64 * 1024;

async function readEntry(esp: Esp, file: string, { content, size }: Uki): Promise<EspEntry | undefined> {
  const waits = parseWaitingName(esp.product, file);
  const name = waits === undefined ? parseEntryName(esp.product, file) : { version: waits };
  const slot = name && content && (await esp.slotOfRootHash(content.rootHash));
  if (!slot) return undefined;
  const id = formatEntryName(esp.product, { version: name.version });
  return { ...name, ...content, id, file, slot, size };
}

/** Nothing when the UKI lacks what the boot loader asks for, or does not name one root hash. */
function contentOf(commandLine: string | undefined, release: string | undefined): { content?: Content } {
  const [rootHash, ...more] = commandLineValues(commandLine ?? '', 'roothash');
  if (release === undefined || rootHash === undefined || more.length > 0 || !SHA256_PATTERN.test(rootHash)) return {};
  const sortKey = first(release, ['IMAGE_ID', 'ID']);
  const osVersion = first(release, ['IMAGE_VERSION', 'VERSION', 'VERSION_ID', 'BUILD_ID']);
  return { content: { rootHash: rootHash as Sha256, sortKey, osVersion } };
}

const first = (release: string, keys: readonly string[]): string | undefined =>
  keys.map((key) => osReleaseValue(release, key)).find((value) => value !== undefined);
