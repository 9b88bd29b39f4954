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

/** An entry of the partition table, and the kernel's device for it; `changed` says in what the two differ. */
export type Partition = Readonly<GptEntry & { path: string; rdev?: string; changed?: string }>;

/** What was read from the disk and the kernel (see `disk-facts.ts`). */
export type DiskFacts = Readonly<{
  disk: Disk;
  partitions: readonly Partition[];
  /** `major:minor` of the partitions that `/` lies on. */
  rootDevices: readonly string[];
  /** Labelled partitions of other disks; their UUIDs as far as somebody knows them. */
  elsewhere: readonly Readonly<{ path: string; label: string; uuid?: string }>[];
  /** Somebody has said that this is the disk of the slots. */
  isChosen?: boolean;
}>;

export type Slot = Readonly<{ name: SlotName; root: Partition; verity?: Partition }>;
/** `doubled`: something else looks like a slot; `isHere` on the same disk. */
export type Slots = Readonly<
  { disk: Disk; doubled?: Readonly<{ sentence: string; isHere: boolean }> } & Record<SlotName, Slot>
>;

declare const free: unique symbol;
/** A slot that is not the running one: only `freeSlot` makes it, and everything that writes asks for it. */
export type FreeSlot = Slot & { readonly [free]: true };

/**
 * Finds the partitions of both slots by their labels on the one disk. Where a label is on several, the one that `/` lies on is the
 * slot's, or else the first: good enough to be looked at, and never written.
 */
export function resolveSlots(config: SlotsConfig, facts: DiskFacts): Slots {
  const [a, b] = SLOT_NAMES.map((name) => slotOf(name, config.slots[name], facts));
  const numbers = [a, b].flatMap((slot) => (slot ? partitionsOf(slot) : [])).map(({ number }) => number);
  if (!a || !b || new Set(numbers).size !== numbers.length)
    throw new UpdateError('slots-unknown', 'The two slots share a partition: their labels must all differ.');
  const doubled = doubledIn([...partitionsOf(a), ...partitionsOf(b)], facts);
  return { disk: facts.disk, a, b, ...(doubled ? { doubled } : {}) };
}

/** The running slot, by what the kernel has open for `/`: never by the command line, and whatever else has the same label. */
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

/** The slot whose partitions have these UUIDs, whichever of several with its label it is. */
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

/** The other slot than the running one. */
export const freeSlot = (slots: Slots, booted: SlotName): FreeSlot => freeSlotNamed(slots, booted, otherSlot(booted));

/** A slot by name, if it is not the running one, and nothing else could be meant. */
export function freeSlotNamed(slots: Slots, booted: SlotName, name: SlotName): FreeSlot {
  if (name === booted) throw new UpdateError('slot-booted', `Slot ${name} is the running one and is not written.`);
  if (slots.doubled) throw new UpdateError('slots-ambiguous', slots.doubled.sentence);
  for (const partition of partitionsOf(slots[name])) requireSame(partition);
  return slots[name] as FreeSlot;
}

/** The kernel's device is where the table says: else something else would be read, or written. */
export function requireSame({ changed }: Partition): void {
  if (changed !== undefined) throw new UpdateError('partition-changed', changed);
}

/** One or two. */
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
