/** A boot loader in memory, of the family that has a priority for each slot, as GPT attributes and U-Boot do. */

import { UpdateError } from '../../src/errors.ts';
import { otherSlot, type SlotName, type Version } from '../../src/model.ts';
import type { BootBackend, SlotBoot } from '../../src/reboot/bootloaders/bootloader.ts';

type Slot = { priority: number; tries: number; successful: boolean; version: Version | undefined };

export type MemoryLoader = Readonly<{
  backend: BootBackend;
  install(slot: SlotName, version: Version): void;
  /** The slot's kernel is lost. */
  remove(slot: SlotName): void;
  /** A start of the machine: which slot the boot loader takes. */
  start(): SlotName | undefined;
  /** Something else than we confirms the slot. */
  bless(slot: SlotName): void;
}>;

/** Slot a runs and is confirmed; slot b is empty. */
export function memoryLoader(version: Version): MemoryLoader {
  const slots: Record<SlotName, Slot> = {
    a: { priority: 1, tries: 0, successful: true, version },
    b: { priority: 0, tries: 0, successful: false, version: undefined },
  };
  const starts = (slot: SlotName): boolean =>
    slots[slot].priority > 0 && (slots[slot].successful || slots[slot].tries > 0);
  const next = (): SlotName | undefined => {
    const [first, second]: [SlotName, SlotName] = slots.a.priority >= slots.b.priority ? ['a', 'b'] : ['b', 'a'];
    return starts(first) ? first : starts(second) ? second : undefined;
  };
  const lead = (slot: SlotName, change: Partial<Slot>): void => {
    slots[otherSlot(slot)].priority = Math.min(1, slots[otherSlot(slot)].priority);
    Object.assign(slots[slot], { priority: 2, ...change });
  };
  const needFallback = (slot: SlotName): void => {
    if (!slots[otherSlot(slot)].successful || !slots[otherSlot(slot)].version)
      throw new UpdateError('boot-no-fallback');
  };
  const needKernel = (slot: SlotName): void => {
    if (!slots[slot].version) throw new UpdateError('boot-entry-missing');
  };
  const backend: BootBackend = {
    name: 'memory',
    mostTries: 15,
    read: async () => ({ next: next(), slots: { a: slotBoot(slots.a), b: slotBoot(slots.b) } }),
    disable: async (slot) => {
      needFallback(slot);
      Object.assign(slots[slot], { priority: 0, tries: 0, successful: false });
    },
    arm: async (slot, tries) => {
      if (tries < 1 || tries > 15) throw new RangeError('tries');
      needFallback(slot);
      needKernel(slot);
      lead(slot, { tries, successful: false });
    },
    confirm: async (slot) => {
      needKernel(slot);
      lead(slot, { tries: 0, successful: true });
    },
    countTry: async (slot) => {
      if (next() !== slot || slots[slot].successful) throw new UpdateError('boot-not-armed');
      slots[slot].tries--;
    },
  };
  return {
    backend,
    install: (slot, installed) => Object.assign(slots[slot], { version: installed }),
    remove: (slot) => Object.assign(slots[slot], { version: undefined }),
    start: () => {
      const slot = next();
      if (slot && !slots[slot].successful) slots[slot].tries--;
      return slot;
    },
    bless: (slot) => Object.assign(slots[slot], { tries: 0, successful: true }),
  };
}

const slotBoot = ({ priority, tries, successful, version }: Slot): SlotBoot =>
  priority === 0
    ? { bootable: false, confirmed: false }
    : {
        bootable: true,
        confirmed: successful,
        ...(version && { version }),
        ...(successful ? {} : { triesLeft: tries }),
      };
