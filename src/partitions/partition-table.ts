/** The partition table on a disk: reading its valid copy, and changing it so that at every instant one copy is valid. */

import { UpdateError } from '../errors.ts';
import type { BlockTarget } from '../system/disk/block-target.ts';
import { type Gpt, PRIMARY, parseHeader, parseTable, sectorsOfEntries, serialise } from './gpt.ts';

/** Reads the table; `sectorSizes` are tried in turn (a disk in a file does not tell). */
export async function readTable(disk: BlockTarget, sectorSizes: readonly number[]): Promise<Gpt> {
  return (await readCopies(disk, sectorSizes)).table;
}

/**
 * Changes the table in both copies. The copy that is already bad, else the backup, is written and made durable first, so a power
 * cut finds the other one whole. Only the sectors of the table can be written, whatever `change` returns.
 */
export async function changeTable(
  disk: BlockTarget,
  sectorSizes: readonly number[],
  change: (table: Gpt) => Gpt,
): Promise<Gpt> {
  const { table, primary, backup } = await readCopies(disk, sectorSizes);
  // A process that was killed may have written what we have just read without making it durable.
  await disk.flush();
  const wanted = change(table);
  if (primary && backup && isSame(wanted, primary) && isSame(wanted, backup)) return wanted;
  const door = tableDoor(disk, table);
  for (const copy of primary ? (['backup', 'primary'] as const) : (['primary', 'backup'] as const))
    await writeCopy(door, wanted, copy);
  return wanted;
}

/** Which copy is not as it should be; or that both are whole, but do not say the same. */
export type TableFault = 'primary' | 'backup' | 'different';

/** What is wrong with the table, if anything is; the next change of it makes both copies anew. */
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
    // A disk that has grown keeps its backup where it was.
    const backup = await readCopy(disk, sectorSize, primary?.backup.header ?? last);
    const table = primary ?? backup;
    if (table) return { table, primary, backup: isBackupOf(table, backup) ? backup : undefined };
  }
  throw new UpdateError(
    'table-invalid',
    `${disk.name} has no valid GUID partition table, neither first copy nor backup.`,
  );
}

/** A valid copy left by something else (another disk guid, another layout) is no backup of this table. */
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

/** Writes nothing but the sectors of the two copies of `table`; these lie outside every partition (see `parseTable`). */
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
