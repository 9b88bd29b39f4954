/** A slot's identity in the partition table: the UUIDs of its partitions, and the attribute bits of its root. */

import { UpdateError } from '../errors.ts';
import type { BlockTarget } from '../system/disk/block-target.ts';
import { type Gpt, withPartitionAttributes, withPartitionUuid } from './gpt.ts';
import { openDiskForTable } from './open-partition.ts';
import { changeTable, readTable } from './partition-table.ts';
import { type Disk, type FreeSlot, type Partition, partitionsOf } from './slots.ts';
import { neutralUuid, uuidsOfRootHash } from './uuids.ts';

type OpenDisk = (disk: Disk) => Promise<BlockTarget>;

/** Throws if the slot could not be renamed in this table; changes nothing. */
export async function checkNames(disk: Disk, slot: FreeSlot, open: OpenDisk = openDiskForTable): Promise<void> {
  await using target = await open(disk);
  const table = await readTable(target, [disk.sectorSize]);
  for (const partition of partitionsOf(slot)) assertSame(disk, table, partition);
}

/** Removes the UUIDs from a slot about to be written, so that no boot entry finds it. */
export function neutralise(disk: Disk, slot: FreeSlot, open: OpenDisk = openDiskForTable): Promise<void> {
  const names = partitionsOf(slot).map((each) => [each, neutralUuid(disk.guid, each.label)] as const);
  return rename(disk, names, open);
}

/** Names a slot by its verified root hash. */
export function nameSlot(
  disk: Disk,
  slot: FreeSlot,
  rootHash: string,
  open: OpenDisk = openDiskForTable,
): Promise<void> {
  const uuids = uuidsOfRootHash(rootHash);
  const verity = slot.verity ? [[slot.verity, uuids.verity] as const] : [];
  return rename(disk, [[slot.root, uuids.root], ...verity], open);
}

/** Changes attribute bits of partitions, all in one change of the table; also for the running slot, because no content is written. */
export const setAttributes = (
  disk: Disk,
  attributes: readonly (readonly [Partition, bigint])[],
  open: OpenDisk = openDiskForTable,
): Promise<void> => changeEntries(disk, attributes, withPartitionAttributes, open);

const rename = (disk: Disk, names: readonly (readonly [Partition, string])[], open: OpenDisk): Promise<void> =>
  changeEntries(disk, names, withPartitionUuid, open);

async function changeEntries<T>(
  disk: Disk,
  changes: readonly (readonly [Partition, T])[],
  withChange: (table: Gpt, number: number, value: T) => Gpt,
  open: OpenDisk,
): Promise<void> {
  await using target = await open(disk);
  await changeTable(target, [disk.sectorSize], (table) => {
    for (const [partition] of changes) assertSame(disk, table, partition);
    return changes.reduce((changed, [{ number }, value]) => withChange(changed, number, value), table);
  });
}

/** The table may have been changed by hand since the slots were looked up. */
function assertSame(disk: Disk, table: Gpt, partition: Partition): void {
  const entry = table.entries.find(({ number }) => number === partition.number);
  const same =
    table.diskGuid === disk.guid &&
    entry?.label === partition.label &&
    entry.offset === partition.offset &&
    entry.size === partition.size;
  if (!same)
    throw new UpdateError(
      'partition-changed',
      `Partition ${partition.number} of ${disk.path} is not ${partition.label} any more.`,
    );
}
