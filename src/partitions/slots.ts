/** Which partitions the two slots are, which one is running, and the one value that allows writing. Pure. */

import { UpdateError } from '../errors.ts';
import { otherSlot, SLOT_NAMES, type SlotName } from '../model.ts';
import type { GptEntry } from './gpt.ts';

/** The labels of a slot's partitions; without `verity` the tree is appended to the file system in one partition. */
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

/** An entry of the partition table, and the kernel's device for it. */
export type Partition = Readonly<GptEntry & { path: string; rdev?: string }>;

/** What was read from the disk and the kernel (see `disk-facts.ts`). */
export type DiskFacts = Readonly<{
  disk: Disk;
  partitions: readonly Partition[];
  /** `major:minor` of the partitions that `/` lies on. */
  rootDevices: readonly string[];
  /** Labelled partitions of other disks. */
  elsewhere: readonly Readonly<{ path: string; label: string }>[];
}>;

export type Slot = Readonly<{ name: SlotName; root: Partition; verity?: Partition }>;
export type Slots = Readonly<{ disk: Disk } & Record<SlotName, Slot>>;

declare const free: unique symbol;
/** A slot that is not the running one: only `freeSlot` makes it, and everything that writes asks for it. */
export type FreeSlot = Slot & { readonly [free]: true };

/** Finds the partitions of both slots by their labels on the one disk. */
export function resolveSlots(config: SlotsConfig, facts: DiskFacts): Slots {
  const [a, b] = SLOT_NAMES.map((name) => slotOf(name, config.slots[name], facts));
  const numbers = [a, b].flatMap((slot) => (slot ? partitionsOf(slot) : [])).map(({ number }) => number);
  if (!a || !b || new Set(numbers).size !== numbers.length)
    throw new UpdateError('slots-unknown', 'The two slots share a partition: their labels must all differ.');
  return { disk: facts.disk, a, b };
}

/** The running slot, by what the kernel has open for `/`: never by the command line. */
export function bootedSlot(slots: Slots, facts: Pick<DiskFacts, 'rootDevices'>): SlotName {
  const running = SLOT_NAMES.filter((name) => partitionsOf(slots[name]).some((each) => isRoot(each, facts)));
  const [name] = running;
  if (name === undefined || running.length > 1) throw unknownBooted(slots, facts, running);
  return name;
}

/** The other slot than the running one. */
export const freeSlot = (slots: Slots, booted: SlotName): FreeSlot => slots[otherSlot(booted)] as FreeSlot;

/** A slot by name, if it is not the running one. */
export function freeSlotNamed(slots: Slots, booted: SlotName, name: SlotName): FreeSlot {
  if (name === booted) throw new UpdateError('slot-booted', `Slot ${name} is the running one and is not written.`);
  return slots[name] as FreeSlot;
}

/** One or two. */
export const partitionsOf = (slot: Slot): readonly Partition[] =>
  slot.verity ? [slot.root, slot.verity] : [slot.root];

function slotOf(name: SlotName, labels: SlotLabels, facts: DiskFacts): Slot {
  const root = partitionLabelled(labels.root, facts);
  return { name, root, ...(labels.verity === undefined ? {} : { verity: partitionLabelled(labels.verity, facts) }) };
}

function partitionLabelled(label: string, facts: DiskFacts): Partition {
  const found = facts.partitions.filter((partition) => partition.label === label);
  const [partition] = found;
  // A boot entry finds its partitions on any disk, so a copy on another one is as bad as one on this.
  const paths = [...found, ...facts.elsewhere.filter((other) => other.label === label)].map(({ path }) => path);
  if (paths.length > 1 && partition)
    throw new UpdateError('slots-ambiguous', `The label ${label} is on more than one partition: ${paths.join(', ')}.`);
  if (partition) return partition;
  const labels = facts.partitions.map((each) => each.label).filter((each) => each !== '');
  throw new UpdateError(
    'partition-missing',
    `${facts.disk.path} has no partition labelled ${label}; it has ${labels.join(', ') || 'none with a label'}.`,
  );
}

const isRoot = ({ rdev }: Partition, { rootDevices }: Pick<DiskFacts, 'rootDevices'>): boolean =>
  rdev !== undefined && rootDevices.includes(rdev);

function unknownBooted(slots: Slots, facts: Pick<DiskFacts, 'rootDevices'>, running: readonly SlotName[]): UpdateError {
  const devices = facts.rootDevices.join(', ') || 'no block device';
  const found = running.length > 1 ? 'both slots at once' : 'neither slot';
  return new UpdateError(
    'slots-unknown',
    `The running root is on ${devices}, which is ${found} of ${slots.disk.path}.`,
  );
}
