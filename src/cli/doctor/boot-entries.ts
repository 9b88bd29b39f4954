/** Whether the next start takes the running slot, and what it falls back to. */

import { otherSlot, type SlotName } from '../../model.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import type { Kernels } from '../../reboot/kernels/kernels.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { tooManyTries } from './signs.ts';

type BootLoader = Readonly<{
  backend: Pick<BootBackend, 'name' | 'mostTries' | 'read'>;
  kernels: Pick<Kernels, 'rootHash'>;
}>;

/** `tries` are those of the configuration. */
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
  // Not whether it is bootable: firmware and GRUB may have forgotten a slot that they have just started.
  if (!slots[booted].confirmed) return onTrial(booted, isWayBack && slots[other].confirmed);
  if (next !== booted) return warn(`The next boot takes slot ${next}.`, 'See why: `updatectl status`.');
  const counted = tooManyTries(tries, backend);
  if (counted) return counted;
  if (isWayBack) return ok(`Slot ${booted} is proven; slot ${other} is the way back.`);
  return warn(`Slot ${other} holds nothing that starts.`, 'There is no way back until the next update.');
}

const noKernel = (booted: SlotName): Finding =>
  fail(
    `The running slot ${booted} has no kernel that could start again.`,
    'Put the kernel image of the running release back: docs/boot-loaders.md says where. Until then nothing is updated.',
  );

const flagsLost = (backend: string): Finding =>
  fail(
    `${backend} has lost what it knew of the slots, so what starts next is chance.`,
    'The agent writes it anew as soon as it runs: `systemctl start tandem-agent`. If it cannot, `updatectl status` says why; docs/boot-loaders.md has the way by hand.',
  );

const onTrial = (booted: SlotName, isWayBack: boolean): Finding =>
  warn(
    `The running slot ${booted} is on trial: it is not proven yet.`,
    isWayBack
      ? `The agent proves it, or goes back to slot ${otherSlot(booted)}: \`updatectl wait-confirmed\`.`
      : 'The agent proves it: `updatectl wait-confirmed`. If it fails, there is nothing to go back to.',
  );
