/** Groups of leaves, cut where their content says so: equal stretches of two releases have equal groups, wherever they lie. */

import { hash } from 'node:crypto';
import { SHORT } from './short-leaves.ts';

/** Group `n` holds the leaves from `firsts[n]` up to `firsts[n + 1]`; its digest is as long as a short leaf. */
export type Groups = Readonly<{ firsts: Uint32Array; digests: Uint8Array }>;

/** The most leaves of a group. */
export const GROUP_LIMIT = 128;

/** The groups of a row of short leaves. */
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

/** The digest of the leaves from `first` up to `end`: long enough to find a group; whether all are right, the digest of the row says. */
export const groupDigest = (shorts: Uint8Array, first: number, end: number): Uint8Array =>
  hash('sha256', shorts.subarray(first * SHORT, end * SHORT), 'buffer').subarray(0, SHORT);

/**
 * The shortest group bounds how many there are where equal leaves follow one another that all say "cut". Groups of 23 leaves on
 * average cost the fewest bytes for a hotfix and for a point release: smaller ones make the head larger, larger ones what is fetched.
 */
const GROUP_LEAST = 8;
const CUT_MASK = 15;

const endsGroup = (shorts: Uint8Array, block: number, count: number): boolean =>
  count >= GROUP_LIMIT || (count >= GROUP_LEAST && ((shorts[block * SHORT] ?? 0) & CUT_MASK) === 0);
