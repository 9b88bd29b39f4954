/** EFI firmware without a boot loader: one boot option per slot, `BootOrder` for the confirmed slot, `BootNext` for the single try. */

import { UpdateError } from '../../errors.ts';
import { otherSlot, SLOT_NAMES, type SlotName, type Version } from '../../model.ts';
import type { EfiVariables } from '../../system/efi-variable-files.ts';
import { kernelName } from '../kernels/slot-kernels.ts';
import {
  activated,
  type BootOption,
  formatBootOption,
  isSameFile,
  type PartitionPlace,
  parseBootOption,
  partitionPath,
} from './boot-option.ts';
import { type BootBackend, type BootView, noFallback, noKernel, notArmed, type SlotBoot } from './bootloader.ts';
import type { SlotVersion } from './flags-backend.ts';

/**
 * Every method makes single changes in an order in which power may fail after each: the firmware always boots a confirmed slot. `espPlace`
 * locates the kernels' partition.
 */
export const efiVariablesBackend = (
  variables: EfiVariables,
  versionOf: SlotVersion,
  espPlace: () => Promise<PartitionPlace>,
): BootBackend => ({
  name: 'efi-variables',
  mostTries: 1,
  read: async () => {
    const versions = { a: await versionOf('a'), b: await versionOf('b') };
    return view(await look(variables), versions);
  },
  disable: (slot) => disable(variables, slot, versionOf),
  arm: (slot, tries) => arm({ variables, versionOf, espPlace }, slot, tries),
  confirm: (slot) => confirm({ variables, versionOf, espPlace }, slot),
  countTry: (slot) => countTry(variables, slot),
});

type EfiVariablesWorld = Readonly<{
  variables: EfiVariables;
  versionOf: SlotVersion;
  espPlace(): Promise<PartitionPlace>;
}>;

type Own = BootOption & Readonly<{ number: number; slot: SlotName; bytes: Uint8Array }>;

/** `own` are the options of our slots; all others are left alone. */
type Firmware = Readonly<{
  order: readonly number[];
  next: number | undefined;
  taken: ReadonlySet<number>;
  own: readonly Own[];
}>;

async function look(variables: EfiVariables): Promise<Firmware> {
  const names = await variables.names();
  if (names.length === 0)
    throw new UpdateError('boot-environment', 'The firmware exposes no variables; is efivarfs mounted?');
  const numbers = names.flatMap((name) => {
    const digits = /^Boot([0-9A-F]{4})$/.exec(name)?.[1];
    return digits === undefined ? [] : [Number.parseInt(digits, 16)];
  });
  const order = numbersIn('BootOrder', (await variables.read('BootOrder')) ?? new Uint8Array());
  const [next] = numbersIn('BootNext', (await variables.read('BootNext')) ?? new Uint8Array());
  const [current] = numbersIn('BootCurrent', (await variables.read('BootCurrent')) ?? new Uint8Array());
  const found: Own[] = [];
  for (const number of numbers) {
    // An unreadable option may belong to anybody, and must not block the others.
    const bytes = await variables.read(nameOf(number)).catch(() => undefined);
    const option = bytes && parseBootOption(bytes);
    const slot = SLOT_NAMES.find((one) => option?.file !== undefined && isSameFile(option.file, kernelName(one)));
    if (bytes && option && slot) found.push({ ...option, number, slot, bytes });
  }
  return { order, next, taken: new Set(numbers), own: onOneDisk(found, [current, ...order]) };
}

/** Another disk may have such slots too. Ours is the one that booted, or else the first in the order. */
function onOneDisk(found: readonly Own[], preferred: readonly (number | undefined)[]): Own[] {
  const rank = ({ number }: Own): number => (preferred.indexOf(number) + preferred.length + 1) % (preferred.length + 1);
  const sorted = found.toSorted((one, other) => rank(one) - rank(other) || one.number - other.number);
  return sorted.filter(({ partition }) => partition === sorted[0]?.partition);
}

function view({ order, next, own }: Firmware, versions: Readonly<Record<SlotName, Version | undefined>>): BootView {
  const slotOf = (number: number | undefined): SlotName | undefined => own.find((one) => one.number === number)?.slot;
  const of = (slot: SlotName): SlotBoot => {
    const confirmed = isInOrder({ order, own }, slot);
    if (!confirmed && slotOf(next) !== slot) return { bootable: false, confirmed: false };
    const version = versions[slot];
    return { bootable: true, confirmed, ...(version === undefined ? {} : { version }), ...(confirmed ? {} : ONCE) };
  };
  const first = order.map(slotOf).find((slot) => slot !== undefined);
  const slots = { a: of('a'), b: of('b') };
  // During a trial, the other slot is in the order.
  const isLost = !slots.a.confirmed && !slots.b.confirmed;
  return { next: slotOf(next) ?? first, slots, ...(isLost ? { isLost } : {}) };
}

async function disable(variables: EfiVariables, slot: SlotName, versionOf: SlotVersion): Promise<void> {
  const firmware = await look(variables);
  await needFallback(firmware, slot, versionOf);
  if (isNext(firmware, slot)) await variables.remove('BootNext');
  await variables.write('BootOrder', listOf(orderWithout(firmware, slot)));
  await verify(variables, (now) => !isInOrder(now, slot) && !isNext(now, slot));
}

async function needFallback(firmware: Firmware, slot: SlotName, versionOf: SlotVersion): Promise<void> {
  if (!isInOrder(firmware, otherSlot(slot))) throw noFallback(slot, 'is not in BootOrder');
  if ((await versionOf(otherSlot(slot))) === undefined) throw noFallback(slot, 'has no kernel image');
}

/** Takes the slot out of the order first, so that a failed try falls back to the confirmed one; sets `BootNext` last. */
async function arm(world: EfiVariablesWorld, slot: SlotName, tries: number): Promise<void> {
  const { variables, versionOf } = world;
  if (tries !== 1) throw new RangeError('tries must be 1');
  const firmware = await look(variables);
  await needFallback(firmware, slot, versionOf);
  if ((await versionOf(slot)) === undefined) throw noKernel(slot);
  await variables.write('BootOrder', listOf(orderWithout(firmware, slot)));
  const number = await ensureOption(world, firmware, slot);
  await variables.write('BootNext', listOf([number]));
  await verify(variables, (now) => !isInOrder(now, slot) && now.next === number);
}

/** Changes the order first: until then, a power cut boots the previously confirmed slot. Then clears a leftover `BootNext`. */
async function confirm(world: EfiVariablesWorld, slot: SlotName): Promise<void> {
  const { variables, versionOf } = world;
  if ((await versionOf(slot)) === undefined) throw noKernel(slot);
  const firmware = await look(variables);
  const number = await ensureOption(world, firmware, slot);
  await variables.write('BootOrder', listOf([number, ...orderWithout(firmware, slot)]));
  if (SLOT_NAMES.some((one) => isNext(firmware, one))) await variables.remove('BootNext');
  await verify(variables, (now) => now.order[0] === number && isInOrder(now, slot) && !isNext(now, otherSlot(slot)));
}

/** Clears `BootNext`, as the firmware does before it starts the option. */
async function countTry(variables: EfiVariables, slot: SlotName): Promise<void> {
  const firmware = await look(variables);
  if (!isNext(firmware, slot) || isInOrder(firmware, slot)) throw notArmed(slot);
  await variables.remove('BootNext');
  await verify(variables, (now) => !isNext(now, slot));
}

/**
 * Returns the number of an active option for the slot. Firmware deletes options whose file is missing, as during a write, and all of them
 * on a reset or update. A new one copies the other slot's option, with this slot's file name.
 */
async function ensureOption(
  { variables, espPlace }: EfiVariablesWorld,
  { own, taken }: Firmware,
  slot: SlotName,
): Promise<number> {
  const found = own.filter((one) => one.slot === slot);
  const usable = found.find(({ active }) => active) ?? found[0];
  if (usable) {
    if (!usable.active) await variables.write(nameOf(usable.number), activated(usable.bytes));
    return usable.number;
  }
  const device = own[0]?.device ?? partitionPath(await espPlace());
  const number = firstFree(taken);
  const file = `\\${kernelName(slot).replaceAll('/', '\\')}`;
  await variables.write(nameOf(number), formatBootOption(`Tandem ${slot}`, device, file));
  return number;
}

/** Reads back, because some firmware accepts a change without keeping it. */
async function verify(variables: EfiVariables, isSo: (now: Firmware) => boolean): Promise<void> {
  const now = await look(variables);
  if (isSo(now)) return;
  const next = now.next === undefined ? 'none' : nameOf(now.next);
  throw new UpdateError(
    'boot-confirm-failed',
    `The firmware did not keep the change: BootOrder is ${now.order.map(nameOf).join(', ') || 'empty'}, BootNext ${next}.`,
  );
}

const ONCE = { triesLeft: 1 };

const isInOrder = ({ order, own }: Pick<Firmware, 'order' | 'own'>, slot: SlotName): boolean =>
  own.some((one) => one.slot === slot && one.active && order.includes(one.number));

const isNext = ({ next, own }: Firmware, slot: SlotName): boolean =>
  own.some((one) => one.slot === slot && one.number === next);

const orderWithout = ({ order, own }: Firmware, slot: SlotName): number[] =>
  order.filter((number) => !own.some((one) => one.slot === slot && one.number === number));

function numbersIn(name: string, value: Uint8Array): number[] {
  if (value.length % 2 !== 0)
    throw new UpdateError('boot-environment', `${name} has ${value.length} bytes; an even number was expected.`);
  const data = Buffer.from(value);
  return Array.from({ length: data.length / 2 }, (_, index) => data.readUInt16LE(index * 2));
}

const listOf = (numbers: readonly number[]): Uint8Array =>
  Buffer.concat(numbers.map((number) => Buffer.from([number & 0xff, number >> 8])));

const nameOf = (number: number): string => `Boot${number.toString(16).toUpperCase().padStart(4, '0')}`;

function firstFree(taken: ReadonlySet<number>): number {
  for (let number = 0; number < 0x10000; number++) if (!taken.has(number)) return number;
  throw new UpdateError('firmware-full', 'The firmware has no number left for a boot option.');
}
