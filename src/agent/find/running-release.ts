/** The running release: from the boot entry, our record or the system itself, in this order. Pure. */

import type { Product, Release, Saved, SlotName, Version } from '../../model.ts';
import type { BootView } from '../../reboot/bootloaders/bootloader.ts';

type Here = Readonly<{ product: Product; booted: SlotName; systemVersion: Version }>;

/**
 * The record applies only while the boot entry still agrees. Lost flags, and firmware that has used up its only try, say
 * nothing about the running slot; it is on trial then, and still needs a name.
 */
export function runningRelease(
  { product, booted, systemVersion }: Here,
  saved: Pick<Saved, 'slots'>,
  view: BootView,
): Release {
  const record = saved.slots[booted];
  const version = view.slots[booted].version ?? record?.version ?? systemVersion;
  return record?.version === version ? record : { product, version };
}
