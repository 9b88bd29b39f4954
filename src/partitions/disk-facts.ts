/** Reads the facts from which slots are resolved: the disk of the running root (or a given one), its table, and the kernel's view of it. */

import { UpdateError } from '../errors.ts';
import { deviceNumber } from '../system/disk/block-area.ts';
import { openBlockTarget } from '../system/disk/block-device.ts';
import { allBelow } from '../system/disk/block-layers.ts';
import {
  diskSectorSize,
  type KernelDevice,
  kernelDevice,
  kernelPartitions,
  rootDevices,
  rootLayers,
} from '../system/disk/mounts.ts';
import { statOf } from '../system/files.ts';
import type { Gpt, GptEntry } from './gpt.ts';
import { writeGuid } from './guid.ts';
import { readTable } from './partition-table.ts';
import type { DiskFacts, Partition } from './slots.ts';

/** `root`: the parent of /proc and /sys. */
export async function readDiskFacts(disk?: string, root = '/'): Promise<DiskFacts> {
  const under = await rootDevices(root);
  const stat = disk === undefined ? undefined : await statOf(disk);
  if (disk !== undefined && stat?.isFile()) return fileFacts(disk);
  if (disk !== undefined && !stat?.isBlockDevice())
    throw new UpdateError('partition-missing', `${disk} is not a disk of this machine.`);
  await refuseLayers(root);
  const rdev = stat ? deviceNumber(BigInt(stat.rdev)) : diskOfRoot(under);
  const device = await kernelDevice(root, rdev);
  if (!device) throw new UpdateError('partition-missing', `The kernel knows no disk ${disk ?? rdev}.`);
  return { ...(await deviceFacts(root, device, under)), isChosen: disk !== undefined };
}

/** Slots are written as partitions and booted from them: anything in another layer would be lost with the first update. */
async function refuseLayers(root: string): Promise<void> {
  const [layer] = await rootLayers(root);
  if (!layer) return;
  const path = (await kernelDevice(root, layer.rdev))?.path ?? layer.rdev;
  throw new UpdateError(
    'slots-unknown',
    `The running root is in ${layer.kind}, ${path}; a slot is a partition that holds an image itself.`,
  );
}

/** The extent of a partition, in sectors; `guid` is its identity as stored in the table. */
export type Place = Readonly<{ number: number; firstSector: number; sectors: number; guid: Uint8Array }>;

/** The partition mounted at `dir`. */
export async function placeOfMounted(dir: string, root = '/'): Promise<Place> {
  const stat = await statOf(dir);
  const device = stat && (await kernelDevice(root, deviceNumber(BigInt(stat.dev))));
  const disk = device?.number === undefined ? undefined : await kernelDevice(root, device.disk);
  if (!device || !disk) throw new UpdateError('boot-partition-missing', `No partition of a disk is mounted on ${dir}.`);
  const { entries, sectorSize } = await readTableOf(disk.path, { rdev: disk.rdev }, [
    await diskSectorSize(root, disk.rdev),
  ]);
  const entry = entries.find(({ number }) => number === device.number);
  if (!entry)
    throw new UpdateError('partition-changed', `${device.path} is not in the table of ${disk.path}: reboot first.`);
  const guid = new Uint8Array(16);
  writeGuid(guid, 0, entry.uuid);
  return { number: entry.number, firstSector: entry.offset / sectorSize, sectors: entry.size / sectorSize, guid };
}

function diskOfRoot(under: readonly KernelDevice[]): string {
  const [disk, ...others] = [...new Set(under.map((device) => device.disk))];
  if (disk !== undefined && others.length === 0 && under.every(({ number }) => number !== undefined)) return disk;
  const found = under.map((device) => device.path).join(', ') || 'no block device';
  throw new UpdateError('slots-unknown', `The running root is on ${found}, not on partitions of one disk.`);
}

async function deviceFacts(root: string, device: KernelDevice, under: readonly KernelDevice[]): Promise<DiskFacts> {
  const sectorSize = await diskSectorSize(root, device.rdev);
  const table = await readTableOf(device.path, { rdev: device.rdev }, [sectorSize]);
  const own = (await kernelPartitions(root)).filter((each) => each.disk === device.rdev);
  return {
    disk: { path: device.path, rdev: device.rdev, guid: table.diskGuid, sectorSize },
    partitions: table.entries.flatMap((entry) => partitionOf(entry, own)),
    rootDevices: under.map((each) => each.rdev),
    elsewhere: await labelsElsewhere(root, device.rdev),
  };
}

/** Labelled partitions of other disks. Members of an array are skipped: they show its own partitions again. */
export async function labelsElsewhere(root: string, disk: string): Promise<DiskFacts['elsewhere']> {
  const here = [disk, ...(await allBelow(root, disk))];
  const others = (await kernelPartitions(root)).filter((each) => !here.includes(each.disk));
  return others.flatMap(({ path, label, uuid }) =>
    label === undefined || path.startsWith(LOOP) ? [] : [{ path, label, ...(uuid === undefined ? {} : { uuid }) }],
  );
}

/** The kernel's device for an entry, if any. It must not be used at another offset, where something else lies. */
function partitionOf(entry: GptEntry, own: readonly KernelDevice[]): Partition[] {
  const device = own.find((each) => each.number === entry.number);
  if (!device) return [];
  const found = { ...entry, path: device.path, rdev: device.rdev };
  if (device.offset === entry.offset && device.size === entry.size) return [found];
  const changed = `${device.path} is ${device.size} bytes at ${device.offset} for the kernel, but ${entry.size} at ${entry.offset} in the partition table: reboot first.`;
  return [{ ...found, changed }];
}

async function fileFacts(path: string): Promise<DiskFacts> {
  const table = await readTableOf(path, undefined, [512, 4096]);
  return {
    disk: { path, guid: table.diskGuid, sectorSize: table.sectorSize },
    partitions: table.entries.map((entry) => ({ ...entry, path })),
    rootDevices: [],
    elsewhere: [],
  };
}

async function readTableOf(path: string, expect: { rdev: string } | undefined, sectors: number[]): Promise<Gpt> {
  const range = expect ? {} : { range: { offset: 0 } };
  await using disk = await openBlockTarget(path, {
    writable: false,
    exclusive: false,
    ...range,
    ...(expect ? { expect } : {}),
  });
  return await readTable(disk, sectors);
}

// No machine boots from a disk image that it has opened itself.
const LOOP = '/dev/loop';
