/** The names under which boot finds a slot: both its partitions change their UUIDs in one change of the table. */

import { UpdateError } from '../errors.ts';
import type { BlockTarget } from '../system/block-target.ts';
import { type Gpt, withPartitionUuid } from './gpt.ts';
import { openDiskForTable } from './open-partition.ts';
import { changeTable } from './partition-table.ts';
import { type Disk, type FreeSlot, type Partition, partitionsOf } from './slots.ts';
import { neutralUuid, uuidsOfRootHash } from './uuids.ts';

type OpenDisk = (disk: Disk) => Promise<BlockTarget>;

/** Takes the names from a slot that is about to be written, so that no boot entry finds it. */
export function neutralise(disk: Disk, slot: FreeSlot, open: OpenDisk = openDiskForTable): Promise<void> {
  const names = partitionsOf(slot).map((each) => [each, neutralUuid(disk.guid, each.label)] as const);
  return rename(disk, names, open);
}

/** Names a slot by the root hash that its read-back gave. */
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

async function rename(disk: Disk, names: readonly (readonly [Partition, string])[], open: OpenDisk): Promise<void> {
  await using target = await open(disk);
  await changeTable(target, [disk.sectorSize], (table) => {
    for (const [partition] of names) assertSame(disk, table, partition);
    return names.reduce((changed, [{ number }, uuid]) => withPartitionUuid(changed, number, uuid), table);
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
