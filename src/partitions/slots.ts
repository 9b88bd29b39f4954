/** The partitions of both slots, the running slot, and the one value that permits writing. Pure. */

import { UpdateError } from '../errors.ts';
import { otherSlot, SLOT_NAMES, type SlotName } from '../model.ts';
import type { GptEntry } from './gpt.ts';

/** The labels of a slot's partitions; without `verity`, the tree is appended to the file system in one partition. */
export type SlotLabels = Readonly<{ root: string; verity?: string | undefined }>;
export type SlotsConfig = Readonly<{ slots: Readonly<Record<SlotName, SlotLabels>>; disk?: string | undefined }>;

/** A disk: a block device, or a regular file (tests, tools) whose partitions are ranges of it. */
export type Disk = Readonly<{
  path: string;
  /** `major:minor`; absent for a regular file. */
  rdev?: string;
  guid: string;
  sectorSize: number;
}>;

/** A partition table entry, and the kernel's device for it; `changed` describes a difference between them. */
export type Partition = Readonly<GptEntry & { path: string; rdev?: string; changed?: string }>;

/** The facts read from disk and kernel (see `disk-facts.ts`). */
export type DiskFacts = Readonly<{
  disk: Disk;
  partitions: readonly Partition[];
  /** `major:minor` of the partitions under `/`. */
  rootDevices: readonly string[];
  /** Labelled partitions of other disks; with UUIDs if known. */
  elsewhere: readonly Readonly<{ path: string; label: string; uuid?: string }>[];
  /** The configuration names this disk. */
  isChosen?: boolean;
}>;

export type Slot = Readonly<{ name: SlotName; root: Partition; verity?: Partition }>;
/** `doubled`: another partition looks like a slot; `isHere`: on the same disk. */
export type Slots = Readonly<
  { disk: Disk; doubled?: Readonly<{ sentence: string; isHere: boolean }> } & Record<SlotName, Slot>
>;

declare const free: unique symbol;
/** A slot that is not running. Only `freeSlot` makes one, and everything that writes requires it. */
export type FreeSlot = Slot & { readonly [free]: true };

/**
 * Finds the partitions of both slots by label on the one disk. If a label is on several, uses the one under `/`, or else the first: good
 * enough for reading, but never written.
 */
export function resolveSlots(config: SlotsConfig, facts: DiskFacts): Slots {
  const [a, b] = SLOT_NAMES.map((name) => slotOf(name, config.slots[name], facts));
  const numbers = [a, b].flatMap((slot) => (slot ? partitionsOf(slot) : [])).map(({ number }) => number);
  if (!a || !b || new Set(numbers).size !== numbers.length)
    throw new UpdateError('slots-unknown', 'The two slots share a partition: their labels must all differ.');
  const doubled = doubledIn([...partitionsOf(a), ...partitionsOf(b)], facts);
  return { disk: facts.disk, a, b, ...(doubled ? { doubled } : {}) };
}

/** The running slot, by the devices that the kernel has open for `/`; never by the command line, and regardless of duplicate labels. */
export function bootedSlot(
  config: SlotsConfig,
  facts: Pick<DiskFacts, 'disk' | 'partitions' | 'rootDevices'>,
): SlotName {
  const open = facts.partitions.filter((each) => isRoot(each, facts)).map(({ label }) => label);
  const running = SLOT_NAMES.filter((name) => labelsOf(config.slots[name]).some((label) => open.includes(label)));
  const [name] = running;
  if (name === undefined || running.length > 1) throw unknownBooted(facts, running);
  return name;
}

/** The slot whose partitions have these UUIDs, even among duplicate labels. */
export const slotWithUuids = (
  config: SlotsConfig,
  { partitions }: Pick<DiskFacts, 'partitions'>,
  uuids: Readonly<{ root: string; verity: string }>,
): SlotName | undefined =>
  SLOT_NAMES.find((name) => {
    const { root, verity } = config.slots[name];
    const has = (label: string, uuid: string): boolean =>
      partitions.some((each) => each.label === label && each.uuid === uuid);
    return has(root, uuids.root) && (verity === undefined || has(verity, uuids.verity));
  });

/** The slot other than the running one. */
export const freeSlot = (slots: Slots, booted: SlotName): FreeSlot => freeSlotNamed(slots, booted, otherSlot(booted));

/** The named slot, if it is not running and unambiguous; the permission to write. */
export function freeSlotNamed(slots: Slots, booted: SlotName, name: SlotName): FreeSlot {
  if (name === booted) throw new UpdateError('slot-booted', `Slot ${name} is the running one and is not written.`);
  if (slots.doubled) throw new UpdateError('slots-ambiguous', slots.doubled.sentence);
  for (const partition of partitionsOf(slots[name])) requireSame(partition);
  return slots[name] as FreeSlot;
}

/** The kernel's device must be where the table says, or something else would be read or written. */
export function requireSame({ changed }: Partition): void {
  if (changed !== undefined) throw new UpdateError('partition-changed', changed);
}

/** One or two partitions. */
export const partitionsOf = (slot: Slot): readonly Partition[] =>
  slot.verity ? [slot.root, slot.verity] : [slot.root];

const labelsOf = ({ root, verity }: SlotLabels): readonly string[] => (verity === undefined ? [root] : [root, verity]);

function slotOf(name: SlotName, labels: SlotLabels, facts: DiskFacts): Slot {
  const root = partitionLabelled(labels.root, facts);
  return { name, root, ...(labels.verity === undefined ? {} : { verity: partitionLabelled(labels.verity, facts) }) };
}

function partitionLabelled(label: string, facts: DiskFacts): Partition {
  const found = facts.partitions.filter((partition) => partition.label === label);
  const partition = found.find((each) => isRoot(each, facts)) ?? found[0];
  if (partition) return partition;
  const labels = facts.partitions.map((each) => each.label).filter((each) => each !== '');
  throw new UpdateError(
    'partition-missing',
    `${facts.disk.path} has no partition labelled ${label}; it has ${labels.join(', ') || 'none with a label'}.`,
  );
}

/** Boot entries find their partitions by UUID on any disk; people, and we, by label. */
function doubledIn(partitions: readonly Partition[], facts: DiskFacts): Slots['doubled'] {
  for (const { label, uuid } of partitions) {
    const here = facts.partitions.filter((each) => each.label === label);
    const there = facts.elsewhere.filter((each) => each.label === label);
    const clones = there.filter((each) => each.uuid === uuid);
    const isHere = here.length > 1;
    const paths = [...here, ...there].map(({ path }) => path).join(', ');
    if (clones.length > 0) return { sentence: `The partition ${label} is doubled, with its UUID: ${paths}.`, isHere };
    if (isHere || (there.length > 0 && facts.isChosen !== true))
      return { sentence: `The label ${label} is on more than one partition: ${paths}.`, isHere };
  }
  return undefined;
}

const isRoot = ({ rdev }: Partition, { rootDevices }: Pick<DiskFacts, 'rootDevices'>): boolean =>
  rdev !== undefined && rootDevices.includes(rdev);

function unknownBooted(
  { disk, rootDevices }: Pick<DiskFacts, 'disk' | 'rootDevices'>,
  running: readonly SlotName[],
): UpdateError {
  const devices = rootDevices.join(', ') || 'no block device';
  const found = running.length > 1 ? 'both slots at once' : 'neither slot';
  return new UpdateError('slots-unknown', `The running root is on ${devices}, which is ${found} of ${disk.path}.`);
}
