/** The order in which systemd-boot sorts boot entries; its default is the first. Pure. */

import { compareVersionTexts } from '../../version.ts';
import type { Counter } from '../kernels/entry-name.ts';

/** The sort keys: `id` is the file name without its counter; the others come from the UKI's os-release. */
export type Ranked = Readonly<{
  id: string;
  counter?: Counter;
  sortKey: string | undefined;
  osVersion: string | undefined;
}>;

/** Negative if the boot loader prefers `a`; 0 if the order is undefined. */
export function compareRank(a: Ranked, b: Ranked): number {
  return (
    compare(isExhausted(a), isExhausted(b)) ||
    compareSortKeys(a, b) ||
    -compareVersionTexts(a.id.toLowerCase(), b.id.toLowerCase()) ||
    compareCounters(a.counter, b.counter)
  );
}

// An entry without tries left is still used if there is no better one.
const isExhausted = ({ counter }: Ranked): number => Number(counter?.left === 0);

function compareSortKeys(a: Ranked, b: Ranked): number {
  if (a.sortKey === undefined || b.sortKey === undefined)
    return compare(Number(a.sortKey === undefined), Number(b.sortKey === undefined));
  if (a.sortKey !== b.sortKey) return a.sortKey < b.sortKey ? -1 : 1;
  return -compareVersionTexts(a.osVersion ?? '', b.osVersion ?? '');
}

const compareCounters = (a: Counter | undefined, b: Counter | undefined): number =>
  a && b ? compare(b.left, a.left) || compare(a.done, b.done) : 0;

const compare = (a: number, b: number): number => Math.sign(a - b);
