/** The Raspberry Pi's `autoboot.txt`: the default boot partition, and the one for a tryboot restart. Pure. */

import { UpdateError } from '../../errors.ts';
import { otherSlot, SLOT_NAMES, type SlotName } from '../../model.ts';
import { NEVER, PROVEN, type SlotFlag, type SlotFlags } from './slot-flags.ts';

/** The firmware's number of each slot's boot partition. */
export type BootPartitions = Readonly<Record<SlotName, number>>;

/** The firmware reads at most this much of the file, in bytes. */
export const AUTOBOOT_LIMIT = 512;

/** Every file we write has this length, so that a change affects a single sector at a fixed place. */
export const AUTOBOOT_SIZE = 256;

/** Reads the flags. The firmware's own settings decide; our marks count only if they agree with them. */
export function parseAutoboot(bytes: Uint8Array, partitions: BootPartitions): SlotFlags {
  const lines = Buffer.from(bytes).toString('latin1').split(/\r?\n/);
  const { all, tried } = partitionsOf(lines);
  const proven = SLOT_NAMES.find((slot) => partitions[slot] === all);
  if (bytes.length > AUTOBOOT_LIMIT || proven === undefined) throw unreadable(bytes, all, partitions);
  const other = otherSlot(proven);
  const { flag, first } = stateOf(markOf(lines, other), tried === partitions[other]);
  const slots = { [proven]: PROVEN, [other]: flag } as Record<SlotName, SlotFlag>;
  return { first: first ? other : proven, slots };
}

/** Formats `flags` as a file. */
export function formatAutoboot(flags: SlotFlags, partitions: BootPartitions): Uint8Array {
  const proven = [flags.first, otherSlot(flags.first)].find((slot) => flags.slots[slot].successful);
  if (proven === undefined)
    throw new UpdateError('boot-no-fallback', 'Neither slot is proven, and the firmware always falls back to one.');
  const other = otherSlot(proven);
  const isTried = flags.first === other && flags.slots[other].tries > 0;
  const marks = SLOT_NAMES.map((slot) => `${slot}=${slot === proven ? '+' : markFor(flags, slot)}`);
  const text = [
    '# Written by Tandem, at once and in place: change it with its tools only.',
    '[all]',
    'tryboot_a_b=1',
    `boot_partition=${partitions[proven]}`,
    '[tryboot]',
    `boot_partition=${partitions[isTried ? other : proven]}`,
    `# tandem ${marks.join(' ')}`,
  ].join('\n');
  return Buffer.from(text.padEnd(AUTOBOOT_SIZE, '\n'), 'latin1');
}

/** `+` proven, `-` disabled, `1` to be tried, `0` tried, `x` tried and left. One byte each, so that none can be half-written. */
type Mark = '+' | '-' | '1' | '0' | 'x';

const TRIED: SlotFlag = { bootable: true, successful: false, tries: 0 };

/** `named`: the firmware would start this slot on a tryboot restart. */
function stateOf(mark: Mark, named: boolean): Readonly<{ flag: SlotFlag; first: boolean }> {
  switch (mark) {
    case '+':
      return { flag: PROVEN, first: false };
    case '1':
      return { flag: { ...TRIED, tries: 1 }, first: named };
    case '0':
      return { flag: TRIED, first: true };
    case 'x':
      return { flag: TRIED, first: false };
    case '-':
      return { flag: NEVER, first: false };
  }
}

function markFor({ first, slots }: SlotFlags, slot: SlotName): Mark {
  const { bootable, successful, tries } = slots[slot];
  if (!bootable) return '-';
  if (successful) return '+';
  if (tries > 0) return '1';
  return first === slot ? '0' : 'x';
}

/** A file written by others says nothing about the slot that it does not start. */
function markOf(lines: readonly string[], slot: SlotName): Mark {
  const own = lines.map((line) => /^# tandem a=([-+10x]) b=([-+10x])$/.exec(line)).findLast((found) => found !== null);
  return (own?.[slot === 'a' ? 1 : 2] as Mark | undefined) ?? '-';
}

/** Parses as the firmware does: the last applicable line wins. */
function partitionsOf(lines: readonly string[]): Readonly<{ all?: number; tried?: number }> {
  let filter: Filter = 'all';
  const found: { all?: number; tried?: number } = {};
  for (const line of lines.map((one) => one.trim())) {
    if (line.startsWith('[')) filter = filterAfter(filter, line);
    const partition = /^boot_partition=(\d{1,3})\b/.exec(line)?.[1];
    if (partition === undefined) continue;
    if (filter === 'all') found.all = Number(partition);
    if (filter !== 'other') found.tried = Number(partition);
  }
  return found;
}

/** Whether a line applies to every start, to a tryboot start, or under conditions unknown to us. */
type Filter = 'all' | 'tryboot' | 'other';

/** Names are case-sensitive. Filters of different kinds combine; only `[all]` resets them. */
function filterAfter(before: Filter, line: string): Filter {
  if (line.startsWith('[all]')) return 'all';
  return line.startsWith('[tryboot]') && before !== 'other' ? 'tryboot' : 'other';
}

function unreadable(bytes: Uint8Array, all: number | undefined, { a, b }: BootPartitions): UpdateError {
  const why =
    bytes.length > AUTOBOOT_LIMIT
      ? `has more than ${AUTOBOOT_LIMIT} bytes`
      : `starts partition ${all ?? 'of nobody’s choice'}, which is neither ${a} (slot a) nor ${b} (slot b)`;
  return new UpdateError('boot-environment', `autoboot.txt ${why}.`);
}
