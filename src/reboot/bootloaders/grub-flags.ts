/** The flags of both slots as variables of GRUB's environment, as `packaging/boot/grub.cfg` reads them. Pure. */

import type { SlotName } from '../../model.ts';
import { NEVER, type SlotFlag, type SlotFlags } from './slot-flags.ts';

/** One digit: GRUB counts by changing one byte in place, which no power cut can halve. */
export const MOST_TRIES = 9;

/** Undefined where they are not ours, as it is for grub.cfg. */
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

/** `ORDER` names the slots that may be started; `a_OK` is 1 for a proven one; `a_LEFT` counts the tries of one that is not. */
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

/** Nothing is known of either slot, and grub.cfg guesses. The flags of the running one are written anew. */
export const unknownFlags = (): SlotFlags => ({ first: 'a', slots: { a: NEVER, b: NEVER } });

const SLOTS = ['a', 'b'] as const;
const ORDERS: readonly (readonly SlotName[])[] = [['a', 'b'], ['b', 'a'], ['a'], ['b']];

const triesIn = (text = ''): number => (/^[0-9]$/.test(text) ? Number(text) : 0);
