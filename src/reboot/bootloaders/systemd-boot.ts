/** systemd-boot: entries are UKIs on the ESP, and the tries are counted in the file names. */

import { UpdateError } from '../../errors.ts';
import { otherSlot, type SlotName, type Version } from '../../model.ts';
import type { Log } from '../../system/log.ts';
import { type Counter, counted, formatEntryName } from '../kernels/entry-name.ts';
import { type Esp, type EspEntry, type EspView, entriesDir, readEsp } from '../kernels/esp-entries.ts';
import { moveEntry, refuseTwinEntries, removeEntries } from '../kernels/esp-writing.ts';
import { compareRank } from './boot-order.ts';
import { type BootBackend, type BootView, noFallback, notArmed, notMounted, type SlotBoot } from './bootloader.ts';

export const systemdBoot = (esp: Esp & Readonly<{ log: Log }>): BootBackend => ({
  name: 'systemd-boot',
  mostTries: MOST_TRIES,
  read: async () => view(esp, await readEsp(esp)),
  disable: (slot) => change(esp, () => disable(esp, slot)),
  arm: (slot, tries) => change(esp, () => arm(esp, slot, tries)),
  confirm: (slot) => change(esp, () => confirm(esp, slot)),
  countTry: (slot) => change(esp, () => countTry(esp, slot)),
});

async function change(esp: Esp, verb: () => Promise<void>): Promise<void> {
  await refuseTwinEntries(esp);
  await verb();
}

// A confirmed entry that must sort last gets a counter; no trial ever counts this far.
const RESERVE: Counter = { left: 0, done: 100 };
const MOST_TRIES = RESERVE.done - 1;

function view(esp: Esp, { entries, waiting, orphans }: EspView): BootView {
  // The running slot was started from an entry, and no method removes its last one. If only other entries of ours exist, it was lost.
  if (entries.length + waiting.length + orphans.length === 0)
    throw notMounted(`${entriesDir(esp)} has no boot entry of either slot`, esp.dir);
  return { next: entries[0]?.slot, slots: { a: slotBoot(entries, 'a'), b: slotBoot(entries, 'b') } };
}

function slotBoot(entries: readonly EspEntry[], slot: SlotName): SlotBoot {
  const entry = entryOf(entries, slot);
  if (!entry) return { bootable: false, confirmed: false };
  const { counter, version } = entry;
  return { bootable: true, confirmed: isProven(entry), version, ...(counter ? { triesLeft: counter.left } : {}) };
}

/** Removes every entry that does not belong to the other slot, orphans included, because the boot loader might use them. */
async function disable(esp: Esp & { log: Log }, slot: SlotName): Promise<void> {
  const { entries, waiting, orphans } = await readEsp(esp);
  const kept = otherSlot(slot);
  needFallback(esp, entries, slot);
  const doomed = [...entries.filter((one) => one.slot !== kept), ...waiting, ...orphans];
  await removeEntries(esp, doomed);
}

/**
 * Makes the slot's UKI the boot loader's next choice, for at most `tries` boots. Power may fail after every line: until the rename, the
 * confirmed entry is first; after it, either entry leads to a system that boots or is counted down.
 */
async function arm(esp: Esp & { log: Log }, slot: SlotName, tries: number): Promise<void> {
  if (!Number.isInteger(tries) || tries < 1 || tries > MOST_TRIES)
    throw new RangeError(`tries must be from 1 to ${MOST_TRIES}`);
  const found = await readEsp(esp);
  const fallback = needFallback(esp, found.entries, slot);
  const entry = found.waiting.find((one) => one.slot === slot) ?? entryOf(found.entries, slot);
  if (!entry) throw noEntry(esp, slot);
  refuseClash(entry, fallback);
  await removeOrphans(esp, found);
  const armed = { ...entry, counter: { left: tries, done: 0 } };
  const isNewer = compareRank(armed, uncounted(fallback)) < 0;
  // With both at zero tries, the newer would be used forever, so the fallback must not be counted.
  if (isNewer) await keep(esp, found, fallback, undefined);
  await keep(esp, found, entry, armed.counter);
  // An older version comes first only while the newer one has no tries left. If the older one exhausts its tries too, both are at zero, and
  // the newer, confirmed one is used again.
  if (!isNewer) await keep(esp, found, fallback, RESERVE);
}

/** The entry of the other slot, which must be confirmed. */
function needFallback({ dir }: Esp, entries: readonly EspEntry[], slot: SlotName): EspEntry {
  const fallback = entryOf(entries, otherSlot(slot));
  if (fallback && isProven(fallback)) return fallback;
  throw noFallback(slot, fallback ? `is unproven on ${dir}` : `has no boot entry on ${dir}`);
}

/** Gives the slot's entry its uncounted name and the first place. Idempotent, also after systemd-bless-boot. */
async function confirm(esp: Esp & { log: Log }, slot: SlotName): Promise<void> {
  const found = await readEsp(esp);
  const entry = entryOf(found.entries, slot);
  if (!entry) throw noEntry(esp, slot);
  await removeOrphans(esp, found);
  await keep(esp, found, entry, undefined);
  const other = entryOf(found.entries, otherSlot(slot));
  if (other && compareRank(other, uncounted(entry)) <= 0) await keep(esp, found, other, demoted(other));
  await verify(esp, slot, entry.version);
}

/** Before any rename: an orphan may have the new name, and the entry itself would then be removed as the duplicate. */
async function removeOrphans(esp: Esp & { log: Log }, { orphans }: EspView): Promise<void> {
  if (orphans.length > 0) await removeEntries(esp, orphans);
}

/** Leaves a single file for the entry's slot, named with this counter. */
async function keep(
  esp: Esp & { log: Log },
  found: EspView,
  entry: EspEntry,
  counter: Counter | undefined,
): Promise<void> {
  const name = formatEntryName(esp.product, { version: entry.version, ...(counter ? { counter } : {}) });
  await moveEntry(esp, entry.file, name);
  const rest = [...found.entries, ...found.waiting].filter(
    (one) => one.slot === entry.slot && one.file !== entry.file && one.file !== name,
  );
  if (rest.length > 0) await removeEntries(esp, rest);
}

/** Renames as the boot loader would have done. */
async function countTry(esp: Esp & { log: Log }, slot: SlotName): Promise<void> {
  const found = await readEsp(esp);
  const entry = entryOf(found.entries, slot);
  if (!entry?.counter || entry.counter.left === 0) throw notArmed(slot);
  await keep(esp, found, entry, counted(entry.counter));
}

/** Reads the folder again: a lost confirmation would make a good system look bad. */
async function verify(esp: Esp, slot: SlotName, version: Version): Promise<void> {
  const { entries } = await readEsp(esp);
  const own = entries.filter((one) => one.slot === slot);
  if (own.length === 1 && own[0]?.counter === undefined && entries[0]?.slot === slot) return;
  throw new UpdateError(
    'boot-confirm-failed',
    `${esp.product} ${version} was confirmed, but ${entriesDir(esp)} now holds ${entries.map((one) => one.file).join(', ') || 'no entry'}.`,
  );
}

/** The entry of a slot; the confirmed one if there are two, because an uncounted name is only given after proof. */
const entryOf = (entries: readonly EspEntry[], slot: SlotName): EspEntry | undefined => {
  const own = entries.filter((one) => one.slot === slot);
  return own.find((one) => one.counter === undefined) ?? own.find(isProven) ?? own.at(-1);
};

const isProven = ({ counter }: EspEntry): boolean =>
  counter === undefined || (counter.left === 0 && counter.done >= RESERVE.done);

const uncounted = ({ id, sortKey, osVersion }: EspEntry) => ({ id, sortKey, osVersion });

const demoted = (entry: EspEntry): Counter =>
  isProven(entry) ? RESERVE : { left: 0, done: Math.max(1, entry.counter?.done ?? 0) };

/** Two entries of the same version would clash on FAT, and the boot loader could not choose between them. */
function refuseClash(entry: EspEntry, other: EspEntry): void {
  if (compareRank(uncounted(entry), uncounted(other)) !== 0) return;
  throw new UpdateError(
    'boot-version-clash',
    `Version ${entry.version} cannot be tried from slot ${entry.slot}: slot ${other.slot} already holds ${other.version}.`,
  );
}

const noEntry = (esp: Esp, slot: SlotName): UpdateError =>
  new UpdateError('boot-entry-missing', `${entriesDir(esp)} holds no UKI of ${esp.product} for slot ${slot}.`);
