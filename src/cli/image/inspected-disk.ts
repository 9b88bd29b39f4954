/** Reads everything that `image inspect` shows. A part that cannot be read is a fault of the disk, and hides no other part. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import { SLOT_NAMES } from '../../model.ts';
import type { Gpt, GptEntry } from '../../partitions/gpt.ts';
import { readTable, tableFault } from '../../partitions/partition-table.ts';
import type { DiskTarget } from '../../system/disk/block-target.ts';
import { bootOf, type InspectedBoot } from './inspected-boot.ts';
import { type InspectedSlot, type InspectedSlots, slotOf, slotPartitions } from './inspected-slots.ts';
import { type InspectedSystem, systemOf } from './inspected-system.ts';
import type { Inspection } from './inspection.ts';
import { typeName } from './partition-types.ts';

export type InspectedPartition = Readonly<{
  number: number;
  label: string;
  type: string;
  typeName?: string;
  uuid: string;
  offset: number;
  size: number;
}>;

export type InspectedDisk = Readonly<{
  size: number;
  sectorSize: number;
  guid: string;
  partitions: readonly InspectedPartition[];
  slots: InspectedSlots;
  boot: InspectedBoot | undefined;
  system: InspectedSystem | undefined;
  /** Everything that is wrong, one sentence each. */
  faults: readonly string[];
}>;

export async function inspectDisk(disk: DiskTarget, inspection: Inspection): Promise<InspectedDisk> {
  const table = await readTable(disk, SECTOR_SIZES).catch((error: unknown) => orCutOff(disk, error));
  const faults: string[] = await tableFaults(disk, table);
  const tolerant: Tolerant = (what, read) => tolerating(inspection.signal, faults, what, read);
  const parts = slotPartitions(table.entries);
  const slots: { a?: InspectedSlot; b?: InspectedSlot } = {};
  for (const name of SLOT_NAMES) {
    const own = parts[name];
    const found = own && (await tolerant(`slot ${name}`, () => slotOf(disk, table, name, own, inspection)));
    if (found) slots[name] = found;
  }
  const esp = table.entries.find(({ type }) => typeName(type) === 'EFI system partition');
  const boot = esp && (await tolerant('the EFI system partition', () => bootOf(esp, parts, inspection)));
  const system = await tolerant('the settings', () => systemOf(disk, table.entries, parts, boot?.next));
  faults.push(...(boot?.faults ?? []), ...(esp ? [] : ['there is no EFI system partition']));
  const partitions = table.entries.slice(0, MOST_PARTITIONS).map(described);
  const about = { size: disk.size, sectorSize: table.sectorSize, guid: table.diskGuid };
  return { ...about, partitions, slots, boot, system, faults };
}

/** The first header of an image that ends too early is whole, and says how long the disk was. */
async function orCutOff(disk: DiskTarget, error: unknown): Promise<never> {
  if (asUpdateError(error).code !== 'table-invalid' || disk.size < 1024) throw error;
  const header = Buffer.from(await disk.read(512, 512));
  const end = Number(header.readBigUInt64LE(32)) * 512 + 512;
  if (header.toString('latin1', 0, 8) !== 'EFI PART' || end <= disk.size) throw error;
  const message = `${disk.name} is cut off: it has ${disk.size} bytes, but its partition table is of a disk of ${end}.`;
  throw new UpdateError('table-invalid', message, { cause: error });
}

/** A part of the disk; undefined, with a fault, if it cannot be read. */
type Tolerant = <T>(what: string, read: () => Promise<T>) => Promise<T | undefined>;

const SECTOR_SIZES = [512, 4096];
/** As many as a usual table can have. */
const MOST_PARTITIONS = 128;

async function tolerating<T>(
  signal: AbortSignal,
  faults: string[],
  what: string,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = asUpdateError(error);
    if (code === 'tool-missing') throw error;
    faults.push(`${what} cannot be read: ${message.replace(/\.$/, '')}`);
    return undefined;
  }
}

async function tableFaults(disk: DiskTarget, table: Gpt): Promise<string[]> {
  const fault = await tableFault(disk, [table.sectorSize]);
  const sorted = table.entries.toSorted((one, other) => one.offset - other.offset);
  const overlaps = sorted.filter((entry, index) => {
    const before = sorted[index - 1];
    return before !== undefined && before.offset + before.size > entry.offset;
  });
  const beyond = table.entries.filter(({ offset, size }) => offset + size > disk.size);
  const more = table.entries.length - MOST_PARTITIONS;
  return [
    ...(fault === undefined ? [] : [TABLE_FAULTS[fault]]),
    ...overlaps.slice(0, MOST_NAMED).map(({ number }) => `partition ${number} overlaps another one`),
    ...beyond.slice(0, MOST_NAMED).map(({ number }) => `partition ${number} reaches past the end of the disk`),
    ...(more > 0 ? [`${more} more partitions are not shown`] : []),
  ];
}

const MOST_NAMED = 5;

const TABLE_FAULTS = {
  primary: 'the first copy of the partition table is damaged',
  backup: 'the second copy of the partition table is damaged or missing',
  different: 'the two copies of the partition table differ',
} as const;

function described({ number, label, type, uuid, offset, size }: GptEntry): InspectedPartition {
  const name = typeName(type);
  return { number, label, type, ...(name === undefined ? {} : { typeName: name }), uuid, offset, size };
}
