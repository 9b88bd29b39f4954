/** The area behind an opened path: a block device with its size and sectors, or a range of a regular file. */

import { type FileHandle, readFile } from 'node:fs/promises';
import { UpdateError } from '../../errors.ts';

/** Without `size`: up to the end. */
export type Range = Readonly<{ offset: number; size?: number }>;

export type Area = Readonly<{
  name: string;
  device: boolean;
  start: number;
  size: number;
  sectorSize: number;
  /** The alignment that O_DIRECT requires. */
  unit: number;
}>;

type Wanted = Readonly<{ writable: boolean; range?: Range; expect?: Readonly<{ rdev?: string; size?: number }> }>;

/** Examines the descriptor, not the path, so that the opened file is the one checked. */
export async function areaOf(handle: FileHandle, path: string, wanted: Wanted): Promise<Area> {
  const stat = await handle.stat({ bigint: true });
  if (!stat.isBlockDevice() && !(stat.isFile() && wanted.range))
    throw new UpdateError('not-a-block-device', `${path} is not a block device.`);
  const rdev = stat.isBlockDevice() ? deviceNumber(stat.rdev) : undefined;
  const whole = rdev === undefined ? Number(stat.size) : await deviceSize(rdev);
  assertExpected(path, wanted, rdev, whole);
  if (rdev === undefined)
    return { ...rangeOf(path, whole, wanted.range), device: false, sectorSize: FILE_SECTOR, unit: FILE_UNIT };
  if (wanted.writable) await assertWritable(path, rdev);
  const sectorSize = await deviceSectorSize(rdev);
  return { ...rangeOf(path, whole, wanted.range), device: true, sectorSize, unit: sectorSize };
}

/** `major:minor`, as in /sys. */
export function deviceNumber(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

function assertExpected(path: string, { expect, range }: Wanted, rdev: string | undefined, whole: number): void {
  if (expect?.rdev !== undefined && expect.rdev !== rdev)
    throw new UpdateError('partition-changed', `${path} is device ${rdev}, not ${expect.rdev} as looked up.`);
  if (expect?.size !== undefined && !range && expect.size !== whole)
    throw new UpdateError('partition-changed', `${path} has ${whole} bytes, not ${expect.size} as looked up.`);
}

/** The kernel opens a read-only device for writing and refuses only the first write, which is too late. */
async function assertWritable(path: string, rdev: string): Promise<void> {
  if ((await readSys(`${rdev}/ro`))?.trim() === '1')
    throw new UpdateError('slot-read-only', `${path} is set read-only.`);
}

function rangeOf(path: string, whole: number, range: Range | undefined): Pick<Area, 'name' | 'start' | 'size'> {
  if (!range) return { name: path, start: 0, size: whole };
  const size = range.size ?? whole - range.offset;
  if (range.offset < 0 || size < 0 || range.offset + size > whole)
    throw new UpdateError('partition-changed', `${path} has ${whole} bytes, too few for ${size} at ${range.offset}.`);
  const name = range.offset === 0 && size === whole ? path : `${path} at ${range.offset}`;
  return { name, start: range.offset, size };
}

// In units of 512 bytes here, regardless of the disk's sectors.
const deviceSize = async (rdev: string): Promise<number> => 512 * Number(await readSys(`${rdev}/size`));

// A partition has no queue of its own; its disk's is one folder above.
const deviceSectorSize = async (rdev: string): Promise<number> =>
  Number((await readSys(`${rdev}/queue/logical_block_size`)) ?? (await readSys(`${rdev}/../queue/logical_block_size`)));

const readSys = (path: string): Promise<string | undefined> =>
  readFile(`/sys/dev/block/${path}`, 'utf8').catch(() => undefined);

const FILE_SECTOR = 512;
const FILE_UNIT = 4096;
