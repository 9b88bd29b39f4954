/** Whether the next start uses the running slot, and what it falls back to. */

import { otherSlot, type SlotName } from '../../model.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import type { Kernels } from '../../reboot/kernels/kernels.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { tooManyTries } from './signs.ts';

type BootLoader = Readonly<{
  backend: Pick<BootBackend, 'name' | 'mostTries' | 'read'>;
  kernels: Pick<Kernels, 'rootHash'>;
}>;

/** `tries` is boot.tries of the configuration. */
export async function judgeEntries(
  booted: SlotName,
  { backend, kernels }: BootLoader,
  tries: number,
): Promise<Finding> {
  const { next, slots, isLost } = await backend.read();
  const other = otherSlot(booted);
  const hasKernel = async (slot: SlotName): Promise<boolean> => (await kernels.rootHash(slot)) !== undefined;
  if (!(await hasKernel(booted))) return noKernel(booted);
  if (isLost) return flagsLost(backend.name);
  const isWayBack = slots[other].bootable && (await hasKernel(other));
  // Not `bootable`: firmware and GRUB may have forgotten a slot that they just started.
  if (!slots[booted].confirmed) return onTrial(booted, isWayBack && slots[other].confirmed);
  if (next !== booted) return warn(`The next boot starts slot ${next}.`, '`updatectl status` shows why.');
  const counted = tooManyTries(tries, backend);
  if (counted) return counted;
  if (isWayBack) return ok(`Slot ${booted} is proven; slot ${other} is the fallback.`);
  return warn(`Slot ${other} holds nothing bootable.`, 'There is no fallback until the next update.');
}

const noKernel = (booted: SlotName): Finding =>
  fail(
    `The running slot ${booted} has lost its kernel and cannot start again.`,
    'Put the kernel image of the running release back; docs/boot-loaders.md says where. Until then, nothing is updated.',
  );

const flagsLost = (backend: string): Finding =>
  fail(
    `${backend} has lost its flags for the slots, so the next start is unpredictable.`,
    'The agent rewrites them when it runs: `systemctl start tandem-agent`. If it cannot, `updatectl status` says why; docs/boot-loaders.md describes the repair by hand.',
  );

const onTrial = (booted: SlotName, isWayBack: boolean): Finding =>
  warn(
    `The running slot ${booted} is on trial and not proven yet.`,
    isWayBack
      ? `The agent confirms it or falls back to slot ${otherSlot(booted)}: \`updatectl wait-confirmed\`.`
      : 'The agent confirms it: `updatectl wait-confirmed`. If the trial fails, there is no fallback.',
  );
