/** The partition table on a disk: reads its valid copy, and changes it so that one copy is valid at every instant. */

import { UpdateError } from '../errors.ts';
import type { BlockTarget } from '../system/disk/block-target.ts';
import { type Gpt, PRIMARY, parseHeader, parseTable, sectorsOfEntries, serialise } from './gpt.ts';

/** Reads the table; tries each of `sectorSizes`, because a disk image does not state its own. */
export async function readTable(disk: BlockTarget, sectorSizes: readonly number[]): Promise<Gpt> {
  return (await readCopies(disk, sectorSizes)).table;
}

/**
 * Changes the table in both copies. Writes the invalid copy, or else the backup, durably first, so that a power cut leaves the other one
 * intact. Only sectors of the table can be written, whatever `change` returns.
 */
export async function changeTable(
  disk: BlockTarget,
  sectorSizes: readonly number[],
  change: (table: Gpt) => Gpt,
): Promise<Gpt> {
  const { table, primary, backup } = await readCopies(disk, sectorSizes);
  // A killed process may have written what we just read without making it durable.
  await disk.flush();
  const wanted = change(table);
  if (primary && backup && isSame(wanted, primary) && isSame(wanted, backup)) return wanted;
  const door = tableDoor(disk, table);
  for (const copy of primary ? (['backup', 'primary'] as const) : (['primary', 'backup'] as const))
    await writeCopy(door, wanted, copy);
  return wanted;
}

/** Which copy is invalid; or that both are valid, but differ. */
export type TableFault = 'primary' | 'backup' | 'different';

/** The fault of the table, if any; its next change repairs both copies. */
export async function tableFault(disk: BlockTarget, sectorSizes: readonly number[]): Promise<TableFault | undefined> {
  const { primary, backup } = await readCopies(disk, sectorSizes);
  if (!primary) return 'primary';
  if (!backup) return 'backup';
  return isSame(primary, backup) ? undefined : 'different';
}

type Copies = Readonly<{ table: Gpt; primary: Gpt | undefined; backup: Gpt | undefined }>;
type Door = Readonly<{ write(sector: number, bytes: Uint8Array): Promise<void>; flush(): Promise<void> }>;

async function readCopies(disk: BlockTarget, sectorSizes: readonly number[]): Promise<Copies> {
  for (const sectorSize of sectorSizes) {
    const last = Math.floor(disk.size / sectorSize) - 1;
    const primary = await readCopy(disk, sectorSize, PRIMARY);
    // A disk that has grown keeps its backup at the old end.
    const backup = await readCopy(disk, sectorSize, primary?.backup.header ?? last);
    const table = primary ?? backup;
    if (table) return { table, primary, backup: isBackupOf(table, backup) ? backup : undefined };
  }
  throw new UpdateError(
    'table-invalid',
    `${disk.name} has no valid GUID partition table, neither first copy nor backup.`,
  );
}

/** A valid copy of something else (another disk GUID or layout) is not a backup of this table. */
const isBackupOf = (table: Gpt, backup: Gpt | undefined): boolean =>
  backup !== undefined &&
  backup.diskGuid === table.diskGuid &&
  backup.firstUsable === table.firstUsable &&
  backup.lastUsable === table.lastUsable &&
  backup.backup.entries === table.backup.entries &&
  backup.entryBytes.length === table.entryBytes.length;

async function readCopy(disk: BlockTarget, sectorSize: number, at: number): Promise<Gpt | undefined> {
  const diskSectors = Math.floor(disk.size / sectorSize);
  if (at <= 0 || at >= diskSectors) return undefined;
  const sector = await disk.read(at * sectorSize, sectorSize);
  const header = parseHeader(sector, at, diskSectors);
  if (!header) return undefined;
  const entries = await disk.read(header.entriesAt * sectorSize, sectorsOfEntries(header, sectorSize) * sectorSize);
  return parseTable(header, entries, sectorSize);
}

const isSame = (one: Gpt, other: Gpt): boolean => Buffer.compare(one.entryBytes, other.entryBytes) === 0;

/** Writes only the sectors of both copies of `table`, which lie outside every partition (see `parseTable`). */
function tableDoor(disk: BlockTarget, table: Gpt): Door {
  const allowed = [table.primary, table.backup].flatMap(({ header, entries, entrySectors }) => [
    { sector: header, sectors: 1 },
    { sector: entries, sectors: entrySectors },
  ]);
  return {
    write: async (sector, bytes) => {
      const place = allowed.find((each) => each.sector === sector);
      if (place?.sectors !== bytes.length / table.sectorSize)
        throw new RangeError(`${disk.name}: sector ${sector} does not belong to the partition table.`);
      await disk.write(sector * table.sectorSize, bytes);
    },
    flush: () => disk.flush(),
  };
}

async function writeCopy(door: Door, table: Gpt, copy: 'primary' | 'backup'): Promise<void> {
  const { header, entries } = serialise(table, copy);
  await door.write(table[copy].entries, entries);
  await door.write(table[copy].header, header);
  await door.flush();
}
