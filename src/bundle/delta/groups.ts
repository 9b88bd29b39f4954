/** Groups of leaves with content-defined boundaries: equal stretches of two releases have equal groups, at any position. */

import { hash } from 'node:crypto';
import { SHORT } from './short-leaves.ts';

/** Group `n` holds leaves `firsts[n]` to `firsts[n + 1]`; its digest is as long as a short leaf. */
export type Groups = Readonly<{ firsts: Uint32Array; digests: Uint8Array }>;

/** The most leaves in a group. */
export const GROUP_LIMIT = 128;

/** Divides a row of short leaves into groups. */
export function groupsOf(shorts: Uint8Array): Groups {
  const blocks = shorts.length / SHORT;
  const firsts: number[] = [0];
  for (let block = 0, count = 1; block < blocks; block += 1, count += 1) {
    if (block + 1 < blocks && !endsGroup(shorts, block, count)) continue;
    firsts.push(block + 1);
    count = 0;
  }
  const digests = new Uint8Array((firsts.length - 1) * SHORT);
  for (let group = 0; group + 1 < firsts.length; group += 1)
    digests.set(groupDigest(shorts, firsts[group] ?? 0, firsts[group + 1] ?? 0), group * SHORT);
  return { firsts: Uint32Array.from(firsts), digests };
}

/** The digest of the leaves `first` to `end`: long enough to find a group; the digest of the row decides whether all are right. */
export const groupDigest = (shorts: Uint8Array, first: number, end: number): Uint8Array =>
  hash('sha256', shorts.subarray(first * SHORT, end * SHORT), 'buffer').subarray(0, SHORT);

/**
 * A minimum bounds the number of groups where consecutive equal leaves all say “cut”. An average of 23 leaves costs the fewest bytes for a
 * hotfix and a point release: smaller groups enlarge the head, larger ones the fetched leaves.
 */
const GROUP_LEAST = 8;
const CUT_MASK = 15;

const endsGroup = (shorts: Uint8Array, block: number, count: number): boolean =>
  count >= GROUP_LIMIT || (count >= GROUP_LEAST && ((shorts[block * SHORT] ?? 0) & CUT_MASK) === 0);
