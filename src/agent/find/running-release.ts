/** What runs here: as the boot entry, our record and the system itself tell, in this order. Pure. */

import type { Product, Release, Saved, SlotName, Version } from '../../model.ts';
import type { BootView } from '../../reboot/bootloaders/bootloader.ts';

type Here = Readonly<{ product: Product; booted: SlotName; systemVersion: Version }>;

/**
 * The record counts only while the boot entry still tells the same. Flags that were lost, and firmware that has used up its one try, tell
 * nothing of a slot that runs; it is on trial then, and has a name all the same.
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
