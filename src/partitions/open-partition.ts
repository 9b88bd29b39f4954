/** Opens partitions of slots: any for reading, only the free slot's for writing. */

import { UpdateError } from '../errors.ts';
import { type OpenBlock, openBlockTarget } from '../system/disk/block-device.ts';
import type { DiskTarget } from '../system/disk/block-target.ts';
import type { Disk, FreeSlot, Partition } from './slots.ts';

export type SlotRole = 'root' | 'verity';
type Warn = Pick<OpenBlock, 'warn'>;

/** Exclusively, for writing: the kernel refuses a mounted partition or a second writer. */
export function openFreePartition(slot: FreeSlot, role: SlotRole, options: Warn = {}): Promise<DiskTarget> {
  const partition = slot[role];
  if (!partition) throw new UpdateError('partition-missing', `Slot ${slot.name} has no partition for ${role}.`);
  return openBlockTarget(partition.path, { ...options, writable: true, exclusive: true, ...placeOf(partition) });
}

/** For reading, alongside other users. */
export const openPartitionForReading = (partition: Partition, options: Warn = {}): Promise<DiskTarget> =>
  openBlockTarget(partition.path, { ...options, writable: false, exclusive: false, ...placeOf(partition) });

/** The whole disk, only to change its table (see `changeTable`); not exclusively, because its partitions are mounted. */
export const openDiskForTable = (disk: Disk): Promise<DiskTarget> => openDisk(disk, true);

/** The whole disk, to read its table. */
export const openDiskForReading = (disk: Disk): Promise<DiskTarget> => openDisk(disk, false);

const openDisk = ({ path, rdev }: Disk, writable: boolean): Promise<DiskTarget> =>
  openBlockTarget(path, {
    writable,
    exclusive: false,
    ...(rdev === undefined ? { range: { offset: 0 } } : { expect: { rdev } }),
  });

const placeOf = ({ rdev, offset, size }: Partition): Pick<OpenBlock, 'range' | 'expect'> =>
  rdev === undefined ? { range: { offset, size } } : { expect: { rdev, size } };
