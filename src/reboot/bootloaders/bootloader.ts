/** The interface of every boot loader. */

import { UpdateError } from '../../errors.ts';
import { type BackendName, otherSlot, type SlotName, type Version } from '../../model.ts';

/** The boot loader's view of a slot. `confirmed`: bootable without counting. `triesLeft` is absent if nothing counts. */
export type SlotBoot = Readonly<{ bootable: boolean; confirmed: boolean; triesLeft?: number; version?: Version }>;

/**
 * The slot of the next boot, and the state of each slot. `isLost`: neither is confirmed, because the boot loader lost its flags or never
 * had any. No method leads to that state, so it does not mean a trial.
 */
export type BootView = Readonly<{
  next: SlotName | undefined;
  slots: Readonly<Record<SlotName, SlotBoot>>;
  isLost?: true;
}>;

/** All methods but `countTry` are idempotent. */
export interface BootBackend {
  readonly name: string;
  /** The most tries it can count; 1 if the boot loader only supports “once”. */
  readonly mostTries: number;
  /** The restart argument that the firmware needs to try an armed slot; harmless with any other restart. */
  readonly rebootArgument?: string;
  /** Throws if the state cannot be read, for example because the partition is not mounted. */
  read(): Promise<BootView>;
  /** Before a write: makes the boot loader never choose this slot. Refuses unless the other slot is confirmed and has a kernel. */
  disable(slot: SlotName): Promise<void>;
  /** Makes the next boot try this slot, at most `tries` times before it falls back. */
  arm(slot: SlotName, tries: number): Promise<void>;
  /** Makes this slot the default, without counting. Like `arm`, refuses if it has no bootable kernel. */
  confirm(slot: SlotName): Promise<void>;
  /**
   * Before a restart into the armed slot past the boot loader: durably counts one try as the boot loader would, so that a power cut from
   * here on ends like a cold boot. Not idempotent: each call counts one try.
   */
  countTry(slot: SlotName): Promise<void>;
}

/** Whether arming uses the firmware's BootNext, which must not be set by others until the restart. */
export const ARMS_BY_BOOT_NEXT: Readonly<Record<BackendName, boolean>> = {
  'systemd-boot': false,
  grub: false,
  uboot: false,
  'efi-variables': true,
  gpt: false,
  tryboot: false,
  program: false,
};

/** The other slot is not a safe fallback. */
export const noFallback = (slot: SlotName, why: string): UpdateError =>
  new UpdateError('boot-no-fallback', `Slot ${otherSlot(slot)} ${why}, so slot ${slot} stays as it is.`);

export const noKernel = (slot: SlotName): UpdateError =>
  new UpdateError('boot-entry-missing', `Slot ${slot} has no kernel image to start.`);

/** None of our files are in their place. */
export const notMounted = (missing: string, dir: string): UpdateError =>
  new UpdateError('boot-partition-missing', `${missing}; is the boot partition mounted on ${dir}?`);

/** Only an armed slot has a try to count. */
export const notArmed = (slot: SlotName): UpdateError =>
  new UpdateError('boot-not-armed', `Slot ${slot} has no tries left to count.`);
