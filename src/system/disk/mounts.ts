/** What the kernel says about the root file system and the disks: /proc and /sys, under a given root so that tests can fake them. */

import { readdir, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { devicesBelow, type Layer, layersOf } from './block-layers.ts';

/** A partition (or a whole disk) as the kernel knows it. */
export type KernelDevice = Readonly<{
  /** `major:minor` */
  rdev: string;
  /** `/dev/…` */
  path: string;
  /** The disk it is a part of; its own number for a whole disk. */
  disk: string;
  /** From 1; absent for a whole disk. */
  number?: number;
  /** In bytes. */
  offset: number;
  size: number;
  /** The label, where the kernel read the partition table itself. */
  label?: string;
  /** Its UUID in the partition table, where the kernel or udev tells. */
  uuid?: string;
}>;

/** The devices that the file system at `/` lies on, seen through dm-verity and other layers; empty if it is on none. */
export async function rootDevices(root = '/'): Promise<KernelDevice[]> {
  const rdev = rootMount(await readFile(join(root, 'proc/self/mountinfo'), 'utf8'))?.rdev;
  const leaves = rdev === undefined ? [] : await leavesOf(root, rdev);
  const devices = await Promise.all(leaves.map((leaf) => kernelDevice(root, leaf)));
  return devices.filter((device) => device !== undefined);
}

/** What the file system at `/` is seen through, that would have to be seen through in the other slot, too. */
export async function rootLayers(root = '/'): Promise<readonly Layer[]> {
  const rdev = rootMount(await readFile(join(root, 'proc/self/mountinfo'), 'utf8'))?.rdev;
  return rdev === undefined ? [] : layersOf(root, rdev);
}

/** What is mounted at `/`, the topmost one: its device as `major:minor`, and its name. */
export function rootMount(mountinfo: string): Readonly<{ rdev: string; source: string }> | undefined {
  const mounts = mountinfo.split('\n').map((line) => line.split(' '));
  const fields = mounts.findLast((one) => one[4] === '/');
  return fields && { rdev: fields[2] ?? '', source: fields[fields.indexOf('-', 6) + 2] ?? '' };
}

/** One device; undefined where the kernel knows none of that number. */
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

/** From Linux 6.9 the kernel tells it; before, udev, which has read the table. Nobody has to ask the disk. */
async function partitionUuid(root: string, rdev: string, uevent: readonly string[]): Promise<string | undefined> {
  const known = await readFile(join(root, 'run/udev/data', `b${rdev}`), 'utf8').catch(() => '');
  return (entryOf(uevent, 'PARTUUID') ?? entryOf(known.split('\n'), 'E:ID_PART_ENTRY_UUID'))?.toLowerCase();
}

/** Names of the device-mapper devices that lie over a device. */
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

// /sys counts in 512 bytes whatever the sectors of the disk are.
const KERNEL_SECTOR = 512;
const MAX_LAYERS = 8;
