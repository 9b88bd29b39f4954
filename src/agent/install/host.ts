/** This host's disk as the agent needs it: the running slot, and the free one, opened for writing. */

import type { Config } from '../../config/config.ts';
import { UpdateError } from '../../errors.ts';
import type { Sha256, SlotName } from '../../model.ts';
import { type Place, placeOfMounted, readDiskFacts } from '../../partitions/disk-facts.ts';
import {
  openDiskForTable,
  openFreePartition,
  openPartitionForReading,
  type SlotRole,
} from '../../partitions/open-partition.ts';
import { checkNames, nameSlot, neutralise, setAttributes } from '../../partitions/slot-identity.ts';
import {
  bootedSlot,
  type Disk,
  type DiskFacts,
  type FreeSlot,
  freeSlotNamed,
  type Partition,
  partitionsOf,
  requireSame,
  resolveSlots,
  type Slot,
  type Slots,
  type SlotsConfig,
  slotWithUuids,
} from '../../partitions/slots.ts';
import { uuidsOfRootHash } from '../../partitions/uuids.ts';
import type { AttributeTable } from '../../reboot/bootloaders/gpt-attributes.ts';
import type { BlockTarget } from '../../system/disk/block-target.ts';
import { mappedOver } from '../../system/disk/mounts.ts';
import type { OpenSlot } from './installer.ts';

/** Access to the disk; tests and the demonstration use others. */
export interface DiskDoors {
  facts(): Promise<DiskFacts>;
  placeOf(dir: string): Promise<Place>;
  booted(config: SlotsConfig, facts: DiskFacts): SlotName;
  openFree(slot: FreeSlot, role: SlotRole): Promise<BlockTarget>;
  openForReading(partition: Partition): Promise<BlockTarget>;
  openTable(disk: Disk): Promise<BlockTarget>;
}

export interface Host {
  readonly booted: SlotName;
  /** The slot whose partitions now have the UUIDs of that root hash. */
  slotOfRootHash(rootHash: Sha256): Promise<SlotName | undefined>;
  /** The place of the partition mounted at `dir`. */
  placeOf(dir: string): Promise<Place>;
  /** The attribute bits of both slots' root partitions, for a boot loader that keeps its flags there. */
  readonly attributes: AttributeTable;
  /** The free slot, opened exclusively; the running one is refused. */
  openSlot(target: SlotName): Promise<OpenSlot>;
  /** The partitions of a slot, with their current names. */
  partitions(slot: SlotName): Promise<Slot>;
  /** A device-mapper device uses a partition of the slot. */
  isMapped(slot: SlotName): Promise<boolean>;
  /** The partitions of any slot, for reading. */
  openForReading(slot: SlotName): Promise<AsyncDisposable & { root: BlockTarget; verity?: BlockTarget }>;
}

/** The real disk; `warn` is called when a read cannot bypass the page cache. */
export const realDoors = (disk: string | undefined, warn: (sentence: string) => void): DiskDoors => ({
  facts: () => readDiskFacts(disk),
  placeOf: (dir) => placeOfMounted(dir),
  booted: bootedSlot,
  openFree: (slot, role) => openFreePartition(slot, role, { warn }),
  openForReading: (partition) => openPartitionForReading(partition, { warn }),
  openTable: openDiskForTable,
});

/** The configured labels of the partitions. */
export function slotLabels({ slots: { aRoot, aVerity, bRoot, bVerity } }: Pick<Config, 'slots'>): SlotsConfig {
  const labels = (root: string, verity: string) => (verity === '' ? { root } : { root, verity });
  return { slots: { a: labels(aRoot, aVerity), b: labels(bRoot, bVerity) } };
}

/**
 * Looks up the host's disk. The booted slot cannot change while we run; the names of the other can, so they are read again. A fault
 * in the other slot does not hide this one: it is reported when that slot is used.
 */
export async function findHost(config: SlotsConfig, doors: DiskDoors): Promise<Host> {
  const booted = doors.booted(config, await doors.facts());
  const slots = async (): Promise<Slots> => resolveSlots(config, await doors.facts());
  return {
    booted,
    slotOfRootHash: async (rootHash) => slotWithUuids(config, await doors.facts(), uuidsOfRootHash(rootHash)),
    placeOf: doors.placeOf,
    attributes: {
      read: async () => {
        const { a, b } = await slots();
        return { a: a.root, b: b.root };
      },
      write: async (wanted) => {
        const { disk, a, b, doubled } = await slots();
        // This disk alone: other disks do not matter to flags.
        if (doubled?.isHere) throw new UpdateError('slots-ambiguous', doubled.sentence);
        const attributes = [[a.root, wanted.a] as const, [b.root, wanted.b] as const];
        await setAttributes(disk, attributes, doors.openTable);
      },
    },
    openSlot: async (target) => {
      const now = await slots();
      return openSlot(now.disk, freeSlotNamed(now, booted, target), doors);
    },
    partitions: async (name) => (await slots())[name],
    isMapped: async (name) => (await mappedOverSlot((await slots())[name])).length > 0,
    openForReading: async (name) => {
      const { root, verity } = (await slots())[name];
      for (const partition of verity ? [root, verity] : [root]) requireSame(partition);
      return together(await doors.openForReading(root), verity && (() => doors.openForReading(verity)));
    },
  };
}

/** Names of the device-mapper devices that use the partitions of a slot. */
export async function mappedOverSlot(slot: Slot): Promise<readonly string[]> {
  const names = await Promise.all(partitionsOf(slot).map(async ({ rdev }) => (rdev ? mappedOver(rdev) : [])));
  return [...new Set(names.flat())];
}

async function openSlot(disk: Disk, slot: FreeSlot, doors: DiskDoors): Promise<OpenSlot> {
  await checkNames(disk, slot, doors.openTable);
  const root = await doors.openFree(slot, 'root');
  const open = await together(root, slot.verity && (() => doors.openFree(slot, 'verity')));
  return {
    ...open,
    neutralise: () => neutralise(disk, slot, doors.openTable),
    name: (rootHash) => nameSlot(disk, slot, rootHash, doors.openTable),
  };
}

async function together(
  root: BlockTarget,
  openVerity: (() => Promise<BlockTarget>) | undefined,
): Promise<AsyncDisposable & { root: BlockTarget; verity?: BlockTarget }> {
  const verity = await openVerity?.().catch(async (error: unknown) => {
    await root[Symbol.asyncDispose]();
    throw error;
  });
  return {
    root,
    ...(verity ? { verity } : {}),
    [Symbol.asyncDispose]: async () => {
      await root[Symbol.asyncDispose]();
      await verity?.[Symbol.asyncDispose]();
    },
  };
}

/** The processor architecture, as releases name it. */
export function architectureOf(arch: string): 'x86-64' | 'arm64' {
  if (arch === 'x64') return 'x86-64';
  if (arch === 'arm64') return 'arm64';
  throw new UpdateError('wrong-architecture', `There are no releases for ${arch}.`);
}
