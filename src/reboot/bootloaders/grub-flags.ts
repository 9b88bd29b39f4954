/** Both slots' flags as variables of GRUB's environment, as `packaging/boot/grub.cfg` reads them. Pure. */

import type { SlotName } from '../../model.ts';
import { NEVER, type SlotFlag, type SlotFlags } from './slot-flags.ts';

/** One digit, because GRUB counts by changing a single byte in place, which a power cut cannot tear. */
export const MOST_TRIES = 9;

/** Undefined for variables that are not ours; grub.cfg treats them the same. */
export function readFlags(variables: ReadonlyMap<string, string>): SlotFlags | undefined {
  const order = ORDERS.find((one) => one.join(' ') === variables.get('ORDER'));
  const first = order?.[0];
  if (!order || !first) return undefined;
  const flag = (slot: SlotName): SlotFlag => {
    if (!order.includes(slot)) return NEVER;
    const successful = variables.get(`${slot}_OK`) === '1';
    return { bootable: true, successful, tries: successful ? 0 : triesIn(variables.get(`${slot}_LEFT`)) };
  };
  return { first, slots: { a: flag('a'), b: flag('b') } };
}

/** `ORDER`: the bootable slots; `a_OK`: 1 for a confirmed slot; `a_LEFT`: the tries left of an unconfirmed one. */
export function writeFlags({ first, slots }: SlotFlags): ReadonlyMap<string, string> {
  const order = ORDERS.find((one) => one.length === 2 && one[0] === first) ?? [];
  return new Map([
    ['ORDER', order.filter((slot) => slots[slot].bootable).join(' ')],
    ...SLOTS.flatMap((slot): [string, string][] => [
      [`${slot}_OK`, slots[slot].successful ? '1' : '0'],
      [`${slot}_LEFT`, String(slots[slot].tries)],
    ]),
  ]);
}

/** Nothing is known of either slot, and grub.cfg guesses. The flags of the running slot are written again. */
export const unknownFlags = (): SlotFlags => ({ first: 'a', slots: { a: NEVER, b: NEVER } });

const SLOTS = ['a', 'b'] as const;
const ORDERS: readonly (readonly SlotName[])[] = [['a', 'b'], ['b', 'a'], ['a'], ['b']];

const triesIn = (text = ''): number => (/^[0-9]$/.test(text) ? Number(text) : 0);
