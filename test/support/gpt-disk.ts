/** A disk image in memory with a partition table as `sfdisk` would make it. */

import { crc32 } from 'node:zlib';
import { writeGuid } from '../../src/partitions/guid.ts';

export type Part = Readonly<{ label: string; offset: number; size: number; uuid: string }>;

export const DISK_GUID = '11111111-2222-3333-4444-555555555555';
const TYPE = '4f68bce3-e8cd-4db1-96e7-fbcaf984b709';

/** Both copies, 128 entries. */
export function gptDisk(size: number, sectorSize: number, parts: readonly Part[]): Uint8Array {
  const disk = new Uint8Array(size);
  const entries = new Uint8Array(128 * 128);
  for (const [index, part] of parts.entries()) entries.set(entryBytes(part, sectorSize), index * 128);
  const last = size / sectorSize - 1;
  const entrySectors = entries.length / sectorSize;
  const usable = { first: 2 + entrySectors, last: last - entrySectors - 1 };
  const put = (at: number, alternate: number, entriesAt: number): void => {
    disk.set(entries, entriesAt * sectorSize);
    disk.set(headerBytes({ at, alternate, entriesAt, usable, crc: crc32(entries) }), at * sectorSize);
  };
  put(1, last, 2);
  put(last, 1, last - entrySectors);
  return disk;
}

function entryBytes({ label, offset, size, uuid }: Part, sectorSize: number): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  writeGuid(bytes, 0, TYPE);
  writeGuid(bytes, 16, uuid);
  view.setBigUint64(32, BigInt(offset / sectorSize), true);
  view.setBigUint64(40, BigInt((offset + size) / sectorSize - 1), true);
  bytes.set(Buffer.from(label, 'utf16le'), 56);
  return bytes;
}

type Header = Readonly<{
  at: number;
  alternate: number;
  entriesAt: number;
  usable: { first: number; last: number };
  crc: number;
}>;

function headerBytes({ at, alternate, entriesAt, usable, crc }: Header): Uint8Array {
  const bytes = new Uint8Array(92);
  const view = new DataView(bytes.buffer);
  bytes.set(Buffer.from('EFI PART'));
  view.setUint32(8, 0x10000, true);
  view.setUint32(12, 92, true);
  for (const [offset, value] of [
    [24, at],
    [32, alternate],
    [40, usable.first],
    [48, usable.last],
    [72, entriesAt],
  ] as const)
    view.setBigUint64(offset, BigInt(value), true);
  writeGuid(bytes, 56, DISK_GUID);
  view.setUint32(80, 128, true);
  view.setUint32(84, 128, true);
  view.setUint32(88, crc, true);
  view.setUint32(16, crc32(bytes), true);
  return bytes;
}
