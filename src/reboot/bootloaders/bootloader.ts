/** The four verbs behind which every boot loader hides. */

import { UpdateError } from '../../errors.ts';
import { type BackendName, otherSlot, type SlotName, type Version } from '../../model.ts';

/** What the boot loader thinks of a slot. `confirmed`: its default without counting. `triesLeft` is absent when nothing counts. */
export type SlotBoot = Readonly<{ bootable: boolean; confirmed: boolean; triesLeft?: number; version?: Version }>;

/**
 * Which slot the next boot takes, and what is known of each. `isLost`: neither is called proven, since the boot loader has lost its flags
 * or was never given any. No verb leads there, so it says of no slot that it is on trial.
 */
export type BootView = Readonly<{
  next: SlotName | undefined;
  slots: Readonly<Record<SlotName, SlotBoot>>;
  isLost?: true;
}>;

/** All verbs but `countTry` may be repeated: the second time changes nothing. */
export interface BootBackend {
  readonly name: string;
  /** How many tries it can count: 1 where the boot loader only knows "once". */
  readonly mostTries: number;
  /** What the firmware must be told with the restart that is to try an armed slot; harmless with any other restart. */
  readonly rebootArgument?: string;
  /** Throws where it cannot be told what the boot loader knows: its partition is not mounted, its tool fails. */
  read(): Promise<BootView>;
  /** Before writing: the boot loader must never choose this slot again. Refuses unless the other one is proven and has a kernel. */
  disable(slot: SlotName): Promise<void>;
  /** The next boot tries this slot, at most `tries` times, and then falls back by itself. */
  arm(slot: SlotName, tries: number): Promise<void>;
  /** From now on this slot is the default, uncounted. Refuses, as `arm` does, when it has no kernel that could start. */
  confirm(slot: SlotName): Promise<void>;
  /**
   * Before a start of the armed slot that skips the boot loader: counts the try as the boot loader would, durably, so that a power cut
   * from here on ends as after a cold boot. Not one to repeat: each call is one try.
   */
  countTry(slot: SlotName): Promise<void>;
}

/** Whether an armed slot is started by the firmware's BootNext, so that nobody else may set it meanwhile. */
export const ARMS_BY_BOOT_NEXT: Readonly<Record<BackendName, boolean>> = {
  'systemd-boot': false,
  grub: false,
  uboot: false,
  'efi-variables': true,
  gpt: false,
  tryboot: false,
  program: false,
};

/** What would be left to start is not known to be good. */
export const noFallback = (slot: SlotName, why: string): UpdateError =>
  new UpdateError('boot-no-fallback', `Slot ${otherSlot(slot)} ${why}, so slot ${slot} stays as it is.`);

export const noKernel = (slot: SlotName): UpdateError =>
  new UpdateError('boot-entry-missing', `Slot ${slot} has no kernel image to start.`);

/** Nothing of ours is where all of it should be. */
export const notMounted = (missing: string, dir: string): UpdateError =>
  new UpdateError('boot-partition-missing', `${missing}; is the boot partition mounted on ${dir}?`);

/** Only a slot that is armed has a try to count. */
export const notArmed = (slot: SlotName): UpdateError =>
  new UpdateError('boot-not-armed', `Slot ${slot} has no try left that could be counted.`);
