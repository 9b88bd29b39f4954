/** The model shared by GRUB, U-Boot and GPT: an order, and tries and success for each slot. Pure. */

import { otherSlot, type SlotName } from '../../model.ts';
import { noFallback, notArmed } from './bootloader.ts';

/** `successful`: bootable without counting. Otherwise the boot loader uses the slot while it has tries left. */
export type SlotFlag = Readonly<{ bootable: boolean; successful: boolean; tries: number }>;

/** Bootable any number of times. */
export const PROVEN: SlotFlag = { bootable: true, successful: true, tries: 0 };

/** Never bootable. */
export const NEVER: SlotFlag = { bootable: false, successful: false, tries: 0 };

/** `first` is preferred; the other slot is the fallback. */
export type SlotFlags = Readonly<{ first: SlotName; slots: Readonly<Record<SlotName, SlotFlag>> }>;

/** The slot of the next boot. */
export const nextSlot = (flags: SlotFlags): SlotName | undefined =>
  [flags.first, otherSlot(flags.first)].find((slot) => starts(flags.slots[slot]));

/** Disables `slot`; the other one must be confirmed. */
export function disabled(flags: SlotFlags, slot: SlotName): SlotFlags {
  needFallback(flags, slot);
  return withSlot(flags, slot, NEVER, otherSlot(slot));
}

/** Makes the next boot try `slot`, at most `tries` times before it falls back to the other, which must be confirmed. */
export function armed(flags: SlotFlags, slot: SlotName, tries: number): SlotFlags {
  needFallback(flags, slot);
  return withSlot(flags, slot, { bootable: true, successful: false, tries }, slot);
}

/** Makes `slot` the default, without counting. */
export function confirmed(flags: SlotFlags, slot: SlotName): SlotFlags {
  return withSlot(flags, slot, PROVEN, slot);
}

/** The boot loader's own change when it starts `slot`. */
export function tried(flags: SlotFlags, slot: SlotName): SlotFlags {
  const { successful, tries } = flags.slots[slot];
  if (nextSlot(flags) !== slot || successful) throw notArmed(slot);
  return withSlot(flags, slot, { bootable: true, successful, tries: tries - 1 }, flags.first);
}

const starts = ({ bootable, successful, tries }: SlotFlag): boolean => bootable && (successful || tries > 0);

function needFallback({ slots }: SlotFlags, slot: SlotName): void {
  if (!slots[otherSlot(slot)].successful) throw noFallback(slot, 'is unproven');
}

const withSlot = ({ slots }: SlotFlags, slot: SlotName, flag: SlotFlag, first: SlotName): SlotFlags => ({
  first,
  slots: { ...slots, [slot]: flag },
});
