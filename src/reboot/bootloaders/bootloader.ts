/** The four verbs behind which every boot loader hides. */

import type { SlotName, Version } from '../../model.ts';

/** What the boot loader thinks of a slot. `confirmed`: its default without counting. `triesLeft` is absent when nothing counts. */
export type SlotBoot = Readonly<{ bootable: boolean; confirmed: boolean; triesLeft?: number; version?: Version }>;

/** Which slot the next boot takes, and what is known of each. */
export type BootView = Readonly<{ next: SlotName | undefined; slots: Readonly<Record<SlotName, SlotBoot>> }>;

/** All verbs may be repeated: the second time changes nothing. */
export interface BootBackend {
  readonly name: string;
  read(): Promise<BootView>;
  /** Before writing: the boot loader must never choose this slot again. */
  disable(slot: SlotName): Promise<void>;
  /** The next boot tries this slot, at most `tries` times, and then falls back by itself. */
  arm(slot: SlotName, tries: number): Promise<void>;
  /** From now on this slot is the default, uncounted. */
  confirm(slot: SlotName): Promise<void>;
}
