/** The kernel's view of the root file system and the disks: /proc and /sys, under a given root for tests. */

import { readdir, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { devicesBelow, type Layer, layersOf } from './block-layers.ts';

/** The kernel's view of a partition (or a whole disk). */
export type KernelDevice = Readonly<{
  /** `major:minor` */
  rdev: string;
  /** `/dev/…` */
  path: string;
  /** Its disk; its own number for a whole disk. */
  disk: string;
  /** From 1; absent for a whole disk. */
  number?: number;
  /** In bytes. */
  offset: number;
  size: number;
  /** The label, if the kernel read the partition table itself. */
  label?: string;
  /** Its UUID in the partition table, if known to kernel or udev. */
  uuid?: string;
}>;

/** The devices under the file system at `/`, below dm-verity and other layers; empty if there are none. */
export async function rootDevices(root = '/'): Promise<KernelDevice[]> {
  const rdev = rootMount(await readFile(join(root, 'proc/self/mountinfo'), 'utf8'))?.rdev;
  const leaves = rdev === undefined ? [] : await leavesOf(root, rdev);
  const devices = await Promise.all(leaves.map((leaf) => kernelDevice(root, leaf)));
  return devices.filter((device) => device !== undefined);
}

/** Layers under `/` that the other slot would need too. */
export async function rootLayers(root = '/'): Promise<readonly Layer[]> {
  const rdev = rootMount(await readFile(join(root, 'proc/self/mountinfo'), 'utf8'))?.rdev;
  return rdev === undefined ? [] : layersOf(root, rdev);
}

/** The topmost mount at `/`: its device as `major:minor`, and its name. */
export function rootMount(mountinfo: string): Readonly<{ rdev: string; source: string }> | undefined {
  const mounts = mountinfo.split('\n').map((line) => line.split(' '));
  const fields = mounts.findLast((one) => one[4] === '/');
  return fields && { rdev: fields[2] ?? '', source: fields[fields.indexOf('-', 6) + 2] ?? '' };
}

/** A device; undefined if the kernel has none with that number. */
export async function kernelDevice(root: string, rdev: string): Promise<KernelDevice | undefined> {
  const dir = await realpath(join(root, 'sys/dev/block', rdev)).catch(() => undefined);
  if (dir === undefined) return undefined;
  const number = await readLine(join(dir, 'partition'));
  const parent = number === undefined ? rdev : await readLine(join(dirname(dir), 'dev'));
  const uevent = (await readFile(join(dir, 'uevent'), 'utf8').catch(() => '')).split('\n');
  const label = entryOf(uevent, 'PARTNAME');
  const uuid = number === undefined ? undefined : await partitionUuid(root, rdev, uevent);
  return {
    rdev,
    path: `/dev/${entryOf(uevent, 'DEVNAME') ?? basename(dir).replaceAll('!', '/')}`,
    disk: parent ?? rdev,
    ...(number === undefined ? {} : { number: Number(number) }),
    offset: KERNEL_SECTOR * Number((await readLine(join(dir, 'start'))) ?? 0),
    size: KERNEL_SECTOR * Number((await readLine(join(dir, 'size'))) ?? 0),
    ...(label === undefined ? {} : { label }),
    ...(uuid === undefined ? {} : { uuid }),
  };
}

/** From Linux 6.9 on, the kernel reports it; before that, udev, which has read the table. No disk access needed. */
async function partitionUuid(root: string, rdev: string, uevent: readonly string[]): Promise<string | undefined> {
  const known = await readFile(join(root, 'run/udev/data', `b${rdev}`), 'utf8').catch(() => '');
  return (entryOf(uevent, 'PARTUUID') ?? entryOf(known.split('\n'), 'E:ID_PART_ENTRY_UUID'))?.toLowerCase();
}

/** The names of the device-mapper devices over a device. */
export async function mappedOver(rdev: string, root = '/'): Promise<string[]> {
  const holders = join(root, 'sys/dev/block', rdev, 'holders');
  const names = await readdir(holders).catch(() => []);
  const mapped = await Promise.all(names.sort().map((name) => readLine(join(holders, name, 'dm/name'))));
  return mapped.filter((name) => name !== undefined);
}

/** All partitions of all disks. */
export async function kernelPartitions(root = '/'): Promise<KernelDevice[]> {
  const names = await readdir(join(root, 'sys/dev/block')).catch(() => []);
  const devices = await Promise.all(names.sort().map((rdev) => kernelDevice(root, rdev)));
  return devices.filter((device) => device?.number !== undefined).filter((device) => device !== undefined);
}

/** 512 or 4096. */
export async function diskSectorSize(root: string, rdev: string): Promise<number> {
  return Number((await readLine(join(root, 'sys/dev/block', rdev, 'queue/logical_block_size'))) ?? KERNEL_SECTOR);
}

async function leavesOf(root: string, rdev: string, depth = 0): Promise<string[]> {
  const below = depth < MAX_LAYERS ? await devicesBelow(root, rdev) : [];
  if (below.length === 0) return [rdev];
  return [...new Set((await Promise.all(below.map((each) => leavesOf(root, each, depth + 1)))).flat())];
}

const entryOf = (lines: readonly string[], key: string): string | undefined =>
  lines.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1);

const readLine = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );

// In units of 512 bytes in /sys, regardless of the disk's sectors.
const KERNEL_SECTOR = 512;
const MAX_LAYERS = 8;
