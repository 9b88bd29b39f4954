/** The partition UUIDs of a slot: derived from its root hash when complete, neutral while being written. */

import { createHash } from 'node:crypto';
import { dashed } from './guid.ts';

/** By the Discoverable Partitions Specification: the first and the last 128 bits of the root hash. */
export function uuidsOfRootHash(rootHash: string): { root: string; verity: string } {
  if (!/^[0-9a-f]{64}$/.test(rootHash)) throw new RangeError(`${rootHash} is not a root hash`);
  return { root: dashed(rootHash.slice(0, 32)), verity: dashed(rootHash.slice(32)) };
}

/** Constant for a partition, and never that of a root hash, so that no boot entry finds it. */
export function neutralUuid(diskGuid: string, label: string): string {
  const digest = createHash('sha256').update(`tandem neutral ${diskGuid} ${label}`).digest('hex');
  return dashed(digest.slice(0, 32));
}
