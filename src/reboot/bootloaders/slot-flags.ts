/** The model that GRUB's, U-Boot's and the GPT's flags share: an order, and for each slot tries and success. Pure. */

import { otherSlot, type SlotName } from '../../model.ts';
import { noFallback, notArmed } from './bootloader.ts';

/** `successful`: taken without counting. Without it, the boot loader takes the slot while it has tries left. */
export type SlotFlag = Readonly<{ bootable: boolean; successful: boolean; tries: number }>;

/** The boot loader starts it as often as it takes. */
export const PROVEN: SlotFlag = { bootable: true, successful: true, tries: 0 };

/** The boot loader does not start it. */
export const NEVER: SlotFlag = { bootable: false, successful: false, tries: 0 };

/** `first` is preferred; the other slot is taken when `first` cannot be. */
export type SlotFlags = Readonly<{ first: SlotName; slots: Readonly<Record<SlotName, SlotFlag>> }>;

/** Which slot the next boot takes. */
export const nextSlot = (flags: SlotFlags): SlotName | undefined =>
  [flags.first, otherSlot(flags.first)].find((slot) => starts(flags.slots[slot]));

/** The boot loader never takes `slot` again, but the other, which must be proven. */
export function disabled(flags: SlotFlags, slot: SlotName): SlotFlags {
  needFallback(flags, slot);
  return withSlot(flags, slot, NEVER, otherSlot(slot));
}

/** The next boot takes `slot`, `tries` times at most, and then the other, which must be proven. */
export function armed(flags: SlotFlags, slot: SlotName, tries: number): SlotFlags {
  needFallback(flags, slot);
  return withSlot(flags, slot, { bootable: true, successful: false, tries }, slot);
}

/** `slot` is the default from now on, uncounted. */
export function confirmed(flags: SlotFlags, slot: SlotName): SlotFlags {
  return withSlot(flags, slot, PROVEN, slot);
}

/** What the boot loader notes when it starts `slot`. */
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
