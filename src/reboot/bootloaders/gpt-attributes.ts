/** Flags in the partition table: priority, tries and success in the attribute bits of each root partition. */

import { SLOT_NAMES, type SlotName } from '../../model.ts';
import type { FlagStore } from './flags-backend.ts';
import type { SlotFlag, SlotFlags } from './slot-flags.ts';

/** The attribute bits of a slot's root partition, and its partition number. */
export type SlotAttributes = Readonly<{ number: number; attributes: bigint }>;

/** The access to the disk that such a boot loader needs. */
export interface AttributeTable {
  read(): Promise<Readonly<Record<SlotName, SlotAttributes>>>;
  /** Writes both atomically and durably: after a power cut at any byte, either the old or the new ones are there. */
  write(attributes: Readonly<Record<SlotName, bigint>>): Promise<void>;
}

/** The layout of GRUB's gptprio, Flatcar, Bottlerocket and ChromeOS. */
export const gptStore = (table: AttributeTable): FlagStore => ({
  name: 'gpt',
  mostTries: 15,
  load: async () => flagsOf(await table.read()),
  save: async (flags) => table.write(withFlags(await table.read(), flags)),
});

/** Interprets the bits like the boot loader: the highest priority first; among equals, the first in the table. */
export function flagsOf({ a, b }: Readonly<Record<SlotName, SlotAttributes>>): SlotFlags {
  const [priorityA, priorityB] = [priorityOf(a.attributes), priorityOf(b.attributes)];
  const isA = priorityA === priorityB ? a.number < b.number : priorityA > priorityB;
  return { first: isA ? 'a' : 'b', slots: { a: flagOf(a.attributes), b: flagOf(b.attributes) } };
}

/** The attributes for `flags`; bits that are not ours stay. */
export function withFlags(
  now: Readonly<Record<SlotName, SlotAttributes>>,
  { first, slots }: SlotFlags,
): Record<SlotName, bigint> {
  const of = (slot: SlotName): bigint =>
    (now[slot].attributes & ~OURS) | bitsOf(slots[slot], slot === first ? HIGHEST : HIGHEST - 1n);
  const [a, b] = SLOT_NAMES.map(of) as [bigint, bigint];
  return { a, b };
}

// Four bits of priority, four of tries, one of success.
const PRIORITY_AT = 48n;
const TRIES_AT = 52n;
const SUCCESSFUL = 1n << 56n;
const FOUR_BITS = 15n;
const OURS = (FOUR_BITS << PRIORITY_AT) | (FOUR_BITS << TRIES_AT) | SUCCESSFUL;
// Above the priority of every other partition of this type, such as an installer's or a rescue system's.
const HIGHEST = 15n;

const priorityOf = (attributes: bigint): bigint => (attributes >> PRIORITY_AT) & FOUR_BITS;

function flagOf(attributes: bigint): SlotFlag {
  const bootable = priorityOf(attributes) > 0n;
  if (!bootable) return { bootable, successful: false, tries: 0 };
  const tries = Number((attributes >> TRIES_AT) & FOUR_BITS);
  return { bootable, successful: (attributes & SUCCESSFUL) !== 0n, tries };
}

const bitsOf = ({ bootable, successful, tries }: SlotFlag, priority: bigint): bigint =>
  bootable ? (priority << PRIORITY_AT) | (BigInt(tries) << TRIES_AT) | (successful ? SUCCESSFUL : 0n) : 0n;
