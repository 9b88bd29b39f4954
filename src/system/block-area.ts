/** What an opened path is: a block device with its size and sectors, or a range of a regular file. */

import { type FileHandle, readFile } from 'node:fs/promises';
import { UpdateError } from '../errors.ts';

/** `size` absent: up to the end. */
export type Range = Readonly<{ offset: number; size?: number }>;

export type Area = Readonly<{
  name: string;
  device: boolean;
  start: number;
  size: number;
  sectorSize: number;
  /** What O_DIRECT must be a multiple of. */
  unit: number;
}>;

type Wanted = Readonly<{ range?: Range; expect?: Readonly<{ rdev?: string; size?: number }> }>;

/** Asks the descriptor, not the path: what was opened is what is judged. */
export async function areaOf(handle: FileHandle, path: string, wanted: Wanted): Promise<Area> {
  const stat = await handle.stat({ bigint: true });
  const rdev = deviceNumber(stat.rdev);
  if (!stat.isBlockDevice() && !(stat.isFile() && wanted.range))
    throw new UpdateError('not-a-block-device', `${path} is not a block device.`);
  const device = stat.isBlockDevice();
  if (wanted.expect?.rdev !== undefined && wanted.expect.rdev !== (device ? rdev : undefined))
    throw new UpdateError('partition-changed', `${path} is device ${rdev}, not ${wanted.expect.rdev} as looked up.`);
  const whole = device ? await deviceSize(rdev) : Number(stat.size);
  if (wanted.expect?.size !== undefined && !wanted.range && wanted.expect.size !== whole)
    throw new UpdateError('partition-changed', `${path} has ${whole} bytes, not ${wanted.expect.size} as looked up.`);
  const sectorSize = device ? await deviceSectorSize(rdev) : FILE_SECTOR;
  return { ...rangeOf(path, whole, wanted.range), device, sectorSize, unit: device ? sectorSize : FILE_UNIT };
}

/** `major:minor`, as the kernel writes it in /sys. */
export function deviceNumber(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

function rangeOf(path: string, whole: number, range: Range | undefined): Pick<Area, 'name' | 'start' | 'size'> {
  if (!range) return { name: path, start: 0, size: whole };
  const size = range.size ?? whole - range.offset;
  if (range.offset < 0 || size < 0 || range.offset + size > whole)
    throw new UpdateError('partition-changed', `${path} has ${whole} bytes, too few for ${size} at ${range.offset}.`);
  const name = range.offset === 0 && size === whole ? path : `${path} at ${range.offset}`;
  return { name, start: range.offset, size };
}

// The kernel counts in 512 bytes here whatever the sectors of the disk are.
const deviceSize = async (rdev: string): Promise<number> => 512 * Number(await readSys(`${rdev}/size`));

// A partition has no queue of its own; its disk's lies one folder above.
const deviceSectorSize = async (rdev: string): Promise<number> =>
  Number((await readSys(`${rdev}/queue/logical_block_size`)) ?? (await readSys(`${rdev}/../queue/logical_block_size`)));

const readSys = (path: string): Promise<string | undefined> =>
  readFile(`/sys/dev/block/${path}`, 'utf8').catch(() => undefined);

const FILE_SECTOR = 512;
const FILE_UNIT = 4096;
