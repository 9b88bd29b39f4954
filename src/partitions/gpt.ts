/** A GUID partition table: parsing, checking, changing and serializing its two copies. */

import { crc32 } from 'node:zlib';
import { readGuid, writeGuid } from './guid.ts';

export type GptEntry = Readonly<{
  /** From 1, as the kernel counts. */
  number: number;
  type: string;
  uuid: string;
  label: string;
  /** In bytes. */
  offset: number;
  size: number;
  attributes: bigint;
}>;

/** The position of one copy, in sectors. */
export type CopyPlace = Readonly<{ header: number; entries: number; entrySectors: number }>;

/** A table; unknown fields are preserved. */
export type Gpt = Readonly<{
  sectorSize: number;
  diskGuid: string;
  firstUsable: number;
  lastUsable: number;
  primary: CopyPlace;
  backup: CopyPlace;
  entrySize: number;
  header: Uint8Array;
  entryBytes: Uint8Array;
  entries: readonly GptEntry[];
}>;

/** The location of the entries according to a header; undefined if the header is invalid. */
export type GptHeader = Readonly<{
  bytes: Uint8Array;
  at: number;
  alternate: number;
  entriesAt: number;
  entryCount: number;
  entrySize: number;
  entriesCrc: number;
  firstUsable: number;
  lastUsable: number;
}>;

/** Checks signature, bounds and checksum of the sector `at`. */
export function parseHeader(sector: Uint8Array, at: number, diskSectors: number): GptHeader | undefined {
  const view = viewOf(sector);
  const length = view.getUint32(12, true);
  if (textOf(sector.subarray(0, 8)) !== 'EFI PART' || length < 92 || length > sector.length) return undefined;
  const bytes = Uint8Array.from(sector.subarray(0, length));
  if (crcWithout(bytes) !== view.getUint32(16, true)) return undefined;
  const header = {
    bytes,
    at: lba(view, 24),
    alternate: lba(view, 32),
    firstUsable: lba(view, 40),
    lastUsable: lba(view, 48),
    entriesAt: lba(view, 72),
    entryCount: view.getUint32(80, true),
    entrySize: view.getUint32(84, true),
    entriesCrc: view.getUint32(88, true),
  };
  return header.at === at && isSane(header, sector.length, diskSectors) ? header : undefined;
}

/** The table of a valid header and its entries; undefined if the entries do not match their checksum. */
export function parseTable(header: GptHeader, entryBytes: Uint8Array, sectorSize: number): Gpt | undefined {
  const used = Uint8Array.from(entryBytes.subarray(0, header.entryCount * header.entrySize));
  if (crc32(used) !== header.entriesCrc) return undefined;
  const entrySectors = sectorsOfEntries(header, sectorSize);
  const isPrimary = header.at === PRIMARY;
  const own = { header: header.at, entries: header.entriesAt, entrySectors };
  const other = isPrimary
    ? { header: header.alternate, entries: header.alternate - entrySectors, entrySectors }
    : { header: PRIMARY, entries: PRIMARY + 1, entrySectors };
  const table = {
    sectorSize,
    diskGuid: readGuid(header.bytes, 56),
    firstUsable: header.firstUsable,
    lastUsable: header.lastUsable,
    primary: isPrimary ? own : other,
    backup: isPrimary ? other : own,
    entrySize: header.entrySize,
    header: header.bytes,
    entryBytes: used,
  };
  const entries = entriesOf(table);
  return areSound(entries, table) ? { ...table, entries } : undefined;
}

/** The number of sectors of a header's entries. */
export const sectorsOfEntries = (header: GptHeader, sectorSize: number): number =>
  Math.ceil((header.entryCount * header.entrySize) / sectorSize);

/** The table with another UUID for partition `number`. */
export function withPartitionUuid(table: Gpt, number: number, uuid: string): Gpt {
  return withEntry(table, number, (entry) => writeGuid(entry, 16, uuid));
}

/** The table with other attribute bits for partition `number`. */
export function withPartitionAttributes(table: Gpt, number: number, attributes: bigint): Gpt {
  return withEntry(table, number, (entry) => viewOf(entry).setBigUint64(48, attributes, true));
}

/** The sectors of one copy: its header, and its entries padded to whole sectors. */
export function serialise(table: Gpt, copy: 'primary' | 'backup'): { header: Uint8Array; entries: Uint8Array } {
  const place = table[copy];
  const entries = new Uint8Array(place.entrySectors * table.sectorSize);
  entries.set(table.entryBytes);
  const header = new Uint8Array(table.sectorSize);
  header.set(table.header);
  const view = viewOf(header);
  view.setBigUint64(24, BigInt(place.header), true);
  view.setBigUint64(32, BigInt(copy === 'primary' ? table.backup.header : table.primary.header), true);
  view.setBigUint64(72, BigInt(place.entries), true);
  view.setUint32(88, crc32(table.entryBytes), true);
  view.setUint32(16, crcWithout(header.subarray(0, table.header.length)), true);
  return { header, entries };
}

/** The sector of the first header. */
export const PRIMARY = 1;

function withEntry(table: Gpt, number: number, change: (entry: Uint8Array) => void): Gpt {
  if (!table.entries.some((entry) => entry.number === number)) throw new RangeError(`no partition ${number}`);
  const entryBytes = table.entryBytes.slice();
  change(entryBytes.subarray((number - 1) * table.entrySize, number * table.entrySize));
  return { ...table, entryBytes, entries: entriesOf({ ...table, entryBytes }) };
}

const MAX_ENTRIES_BYTES = 1024 * 1024;

function isSane(header: GptHeader, sectorSize: number, diskSectors: number): boolean {
  const { at, alternate, entriesAt, entryCount, entrySize, firstUsable, lastUsable } = header;
  const bytes = entryCount * entrySize;
  const sectors = Math.ceil(bytes / sectorSize);
  const sizes = entrySize >= 128 && entrySize % 8 === 0 && entryCount > 0 && bytes <= MAX_ENTRIES_BYTES;
  const order = firstUsable <= lastUsable && alternate !== at && alternate >= PRIMARY && alternate < diskSectors;
  const clear = entriesAt + sectors <= firstUsable || entriesAt > lastUsable;
  const within = entriesAt > PRIMARY && entriesAt + sectors <= diskSectors && lastUsable < diskSectors;
  // The other copy must have room too, before the first or after the last partition.
  const [first, last] = at === PRIMARY ? [entriesAt, alternate] : [PRIMARY + 1, at];
  return sizes && order && clear && within && first + sectors <= firstUsable && last - sectors > lastUsable;
}

function entriesOf(table: Pick<Gpt, 'entryBytes' | 'entrySize' | 'sectorSize'>): GptEntry[] {
  const { entryBytes, entrySize } = table;
  const count = entryBytes.length / entrySize;
  return Array.from({ length: count }, (_, index) => index)
    .filter((index) => isUsed(viewOf(entryBytes), index * entrySize))
    .map((index) => entryOf(entryBytes.subarray(index * entrySize, (index + 1) * entrySize), index, table.sectorSize));
}

/** An entry without a type is unused. */
const isUsed = (view: DataView, at: number): boolean =>
  view.getBigUint64(at) !== 0n || view.getBigUint64(at + 8) !== 0n;

function entryOf(bytes: Uint8Array, index: number, sectorSize: number): GptEntry {
  const view = viewOf(bytes);
  const [first, last] = [lba(view, 32), lba(view, 40)];
  return {
    number: index + 1,
    type: readGuid(bytes, 0),
    uuid: readGuid(bytes, 16),
    label: Buffer.from(bytes.subarray(56, 128)).toString('utf16le').replace(/\0.*$/s, ''),
    offset: first * sectorSize,
    size: (last - first + 1) * sectorSize,
    attributes: view.getBigUint64(48, true),
  };
}

/** Partitions must be in the usable sectors, so that none overlaps the sectors that a table change writes. */
const areSound = (entries: readonly GptEntry[], table: Omit<Gpt, 'entries'>): boolean =>
  entries.every(
    ({ offset, size }) =>
      size > 0 &&
      offset >= table.firstUsable * table.sectorSize &&
      offset + size <= (table.lastUsable + 1) * table.sectorSize,
  );

function crcWithout(header: Uint8Array): number {
  const copy = Uint8Array.from(header);
  copy.fill(0, 16, 20);
  return crc32(copy);
}

// A sector number beyond a double's precision is invalid; as NaN it fails every comparison.
function lba(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  return value < 2n ** 40n ? Number(value) : Number.NaN;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
