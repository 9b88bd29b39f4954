/** The Raspberry Pi's `autoboot.txt` as bytes: which boot partition is started, and which one when a try was asked for. Pure. */

import { UpdateError } from '../../errors.ts';
import { otherSlot, SLOT_NAMES, type SlotName } from '../../model.ts';
import { NEVER, PROVEN, type SlotFlag, type SlotFlags } from './slot-flags.ts';

/** The number that the firmware knows each slot's boot partition by. */
export type BootPartitions = Readonly<Record<SlotName, number>>;

/** The firmware reads no more of the file. */
export const AUTOBOOT_LIMIT = 512;

/** All that we write is this long, so that a change of it is a change of one sector, at one place, and of nothing else. */
export const AUTOBOOT_SIZE = 256;

/** What the file says of the slots. The firmware's own lines decide; what ours adds counts only while it fits them. */
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

/** The file that says the same as `flags`. */
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

/** `+` proven, `-` never to be started, `1` to be tried, `0` tried, `x` tried and left. One byte each: nothing can be half of one. */
type Mark = '+' | '-' | '1' | '0' | 'x';

const TRIED: SlotFlag = { bootable: true, successful: false, tries: 0 };

/** `named`: the firmware would start the slot when asked for a try. */
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

/** Of a file that somebody else has written, nothing is known of the slot that it does not start. */
function markOf(lines: readonly string[], slot: SlotName): Mark {
  const own = lines.map((line) => /^# tandem a=([-+10x]) b=([-+10x])$/.exec(line)).findLast((found) => found !== null);
  return (own?.[slot === 'a' ? 1 : 2] as Mark | undefined) ?? '-';
}

/** As the firmware reads: of several lines that apply, the last one counts. */
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

/** Whether a line applies to every start, to one that is a try, or to some that we know nothing of. */
type Filter = 'all' | 'tryboot' | 'other';

/** Names are case-sensitive. Filters of different kinds add up; only `[all]` takes them back. */
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
