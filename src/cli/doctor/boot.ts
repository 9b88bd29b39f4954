/** The conditions for a host to start again: its boot entries, its fallback, and an unused free slot. */

import { openBootLoader } from '../../agent/boot-loader.ts';
import { findHost, realDoors, slotLabels } from '../../agent/install/host.ts';
import { type Config, requireSetting } from '../../config/config.ts';
import { ERRORS } from '../../errors.ts';
import { otherSlot, type Product } from '../../model.ts';
import { readDiskFacts } from '../../partitions/disk-facts.ts';
import { bootedSlot, partitionsOf, resolveSlots } from '../../partitions/slots.ts';
import { flagsOf } from '../../reboot/bootloaders/gpt-attributes.ts';
import { readPart, writableSpace, writePart } from '../../system/files.ts';
import type { Context } from '../command.ts';
import { bytes } from '../units.ts';
import { judgeEntries } from './boot-entries.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { diskOf } from './gpt.ts';
import { mountOfDevice } from './mount-table.ts';
import type { Reading } from './reading.ts';

/** Both slots are on one disk; one is running, the other is unused. */
export async function partitions({ files }: Readonly<{ files: Reading }>, config: Config): Promise<Finding> {
  const facts = await readDiskFacts(diskOf(config));
  const booted = bootedSlot(slotLabels(config), facts);
  const slots = resolveSlots(slotLabels(config), facts);
  if (slots.doubled)
    return fail(
      `Slot ${booted} runs, but nothing can be installed: ${slots.doubled.sentence}`,
      ERRORS['slots-ambiguous'].next,
    );
  for (const { path, rdev } of partitionsOf(slots[otherSlot(booted)])) {
    const mount = rdev === undefined ? undefined : await mountOfDevice(files, rdev);
    if (mount)
      return fail(`${path} of the free slot is mounted on ${mount.path}.`, `Unmount it: \`umount ${mount.path}\`.`);
  }
  const [sizesA, sizesB] = [slots.a, slots.b].map((slot) => partitionsOf(slot).map(({ size }) => size));
  const sentence = `Slot ${booted} runs; each slot has ${bytes(slots.a.root.size)} on ${slots.disk.path}.`;
  if (sizesA?.join() === sizesB?.join()) return ok(sentence);
  return warn('The slots differ in size.', 'A release must fit the smaller one.');
}

/** The boot loader starts the running slot by default, and the other slot could start, too. */
export async function bootEntries({ files, log, exec }: Context, config: Config): Promise<Finding> {
  const product = requireSetting(config, 'host.product') as Product;
  const host = await findHost(
    slotLabels(config),
    realDoors(diskOf(config), () => {}),
  );
  const world = { files, readPart, writePart, writableSpace, exec, log };
  return judgeEntries(host.booted, openBootLoader(config, world, { ...host, product }), config.boot.tries);
}

/** Whether a boot loader could choose by priorities in the partition table; false where no slots are found. */
export async function hasPriorities(config: Config): Promise<boolean> {
  try {
    const { a, b } = resolveSlots(slotLabels(config), await readDiskFacts(diskOf(config)));
    const flags = flagsOf({ a: a.root, b: b.root });
    return flags.slots.a.bootable || flags.slots.b.bootable;
  } catch {
    return false;
  }
}
