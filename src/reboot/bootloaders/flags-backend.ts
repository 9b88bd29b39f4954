/** A boot backend over stored flags: in GRUB's or U-Boot's environment, or in the partition table. */

import { isDeepStrictEqual } from 'node:util';
import { UpdateError } from '../../errors.ts';
import { otherSlot, type SlotName, type Version } from '../../model.ts';
import { type BootBackend, type BootView, noFallback, noKernel, type SlotBoot } from './bootloader.ts';
import { armed, confirmed, disabled, nextSlot, type SlotFlags, tried } from './slot-flags.ts';

/** Storage for the flags. */
export type FlagStore = Readonly<{
  name: string;
  mostTries: number;
  rebootArgument?: string;
  load(): Promise<SlotFlags>;
  /** Saves all flags atomically and durably: after a power cut, either the old or the new ones are there. */
  save(flags: SlotFlags): Promise<void>;
}>;

/** For stores that keep no flags as such: applies the action instead of its result. */
export type ActionStore = Omit<FlagStore, 'save'> & Readonly<{ save(flags: SlotFlags, deed: Deed): Promise<void> }>;

export type Deed = Readonly<{ verb: 'disable' | 'arm' | 'confirm' | 'count-try'; slot: SlotName; tries?: number }>;

/** The version of the kernel in a slot; undefined if there is none. */
export type SlotVersion = (slot: SlotName) => Promise<Version | undefined>;

/** The backend over one store. */
export function flagsBackend(store: FlagStore | ActionStore, versionOf: SlotVersion): BootBackend {
  const { name, mostTries, rebootArgument } = store;
  const change = async (deed: Deed, next: (flags: SlotFlags) => SlotFlags): Promise<void> => {
    // Saves even without a change: an earlier run may have been interrupted before its save was durable.
    const wanted = next(await store.load());
    await store.save(wanted, deed);
    const kept = await store.load();
    if (isDeepStrictEqual(kept, wanted)) return;
    throw new UpdateError(
      'boot-confirm-failed',
      `${name} was set to ${describe(wanted)}, but reads back as ${describe(kept)}.`,
    );
  };
  const hasKernel = async (slot: SlotName): Promise<boolean> => (await versionOf(slot)) !== undefined;
  const needFallback = async (slot: SlotName): Promise<void> => {
    if (!(await hasKernel(otherSlot(slot)))) throw noFallback(slot, 'has no kernel image');
  };
  return {
    name,
    mostTries,
    ...(rebootArgument === undefined ? {} : { rebootArgument }),
    read: async () => {
      // Checks the kernels first: flags on an unmounted partition are not lost.
      const versions = { a: await versionOf('a'), b: await versionOf('b') };
      return view(await store.load(), versions);
    },
    disable: async (slot) => {
      await needFallback(slot);
      await change({ verb: 'disable', slot }, (flags) => disabled(flags, slot));
    },
    arm: async (slot, tries) => {
      if (!Number.isInteger(tries) || tries < 1 || tries > mostTries)
        throw new RangeError(`tries must be from 1 to ${mostTries}`);
      armed(await store.load(), slot, tries);
      await needFallback(slot);
      if (!(await hasKernel(slot))) throw noKernel(slot);
      await change({ verb: 'arm', slot, tries }, (now) => armed(now, slot, tries));
    },
    confirm: async (slot) => {
      if (!(await hasKernel(slot))) throw noKernel(slot);
      await change({ verb: 'confirm', slot }, (flags) => confirmed(flags, slot));
    },
    countTry: (slot) => change({ verb: 'count-try', slot }, (flags) => tried(flags, slot)),
  };
}

function view(flags: SlotFlags, versions: Readonly<Record<SlotName, Version | undefined>>): BootView {
  const of = (slot: SlotName): SlotBoot => {
    const { bootable, successful, tries } = flags.slots[slot];
    if (!bootable) return { bootable: false, confirmed: false };
    const version = versions[slot];
    const known = version === undefined ? {} : { version };
    return { bootable: true, confirmed: successful, ...known, ...(successful ? {} : { triesLeft: tries }) };
  };
  const slots = { a: of('a'), b: of('b') };
  return { next: nextSlot(flags), slots, ...(slots.a.confirmed || slots.b.confirmed ? {} : { isLost: true }) };
}

const describe = ({ first, slots }: SlotFlags): string => `“${first} first, ${JSON.stringify(slots)}”`;
