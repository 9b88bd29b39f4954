/** A host's plan for a blocks file: known leaves, blocks to copy, and ranges to fetch. */

import { hash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import type { Role } from '../../model.ts';
import type { Extent, Volume } from '../image/volume.ts';
import { imageOf, type Manifest, rootOf } from '../manifest.ts';
import { BLOCK, blockDigests } from '../verity.ts';
import type { BlocksHead } from './blocks-head.ts';
import { type BlockSet, blockSet, type Copy, extentsWhere } from './copy.ts';
import { groupDigest, groupsOf } from './groups.ts';
import { lookup, SHORT, type ShortLookup, sameShort, shorten } from './short-leaves.ts';

/** The known short leaves of the new release; `unknown` must be fetched, and consists of whole groups. */
export type KnownLeaves = Readonly<{ shorts: Uint8Array; unknown: readonly Extent[] }>;

/** Copies the leaves of groups that these rows of short leaves contain, at any position. */
export function knownLeaves({ groups }: BlocksHead, ...rows: readonly Uint8Array[]): KnownLeaves {
  const blocks = groups.firsts.at(-1) ?? 0;
  const shorts = new Uint8Array(blocks * SHORT);
  const known = blockSet(blocks);
  for (const row of rows) {
    const old = groupsOf(row);
    const found = lookup(old.digests);
    for (let group = 0; group + 1 < groups.firsts.length; group += 1) {
      const [first, end] = [groups.firsts[group] ?? 0, groups.firsts[group + 1] ?? 0];
      const same = known.has(first) ? -1 : found.find(groups.digests, group);
      const from = old.firsts[same] ?? 0;
      if (same < 0 || (old.firsts[same + 1] ?? 0) - from !== end - first) continue;
      shorts.set(row.subarray(from * SHORT, (from + end - first) * SHORT), first * SHORT);
      known.addRange(first, end - first);
    }
  }
  return { shorts, unknown: known.missingRuns() };
}

/** Stores fetched leaves after verifying each of their groups. `extent` consists of whole groups. */
export function addLeaves({ groups }: BlocksHead, shorts: Uint8Array, extent: Extent, bytes: Uint8Array): void {
  const { first, count } = extent;
  if (bytes.length !== count * SHORT) throw mismatch(`${count} leaves have ${bytes.length} bytes`);
  const group = groupAt(groups.firsts, first);
  for (let at = group; (groups.firsts[at] ?? first + count) < first + count; at += 1) {
    const [from, to] = [(groups.firsts[at] ?? 0) - first, (groups.firsts[at + 1] ?? 0) - first];
    const found = groupDigest(bytes, from, to);
    if (from < 0 || to > count || !sameShort(found, 0, groups.digests, at))
      throw mismatch(
        `the leaves of group ${at} (${to - from} from block ${first + from} on) are not those of the head`,
      );
  }
  shorts.set(bytes, first * SHORT);
}

/** The source of each block that is not in place yet. */
export type BlocksPlan = Readonly<{
  copies: readonly Copy[];
  zeros: readonly Extent[];
  /** Frames of the news to fetch, in order. */
  frames: readonly number[];
  /** Frames of the bundle to fetch, in order. */
  rest: readonly Readonly<{ role: Role; frame: number }>[];
  /** Blocks contained in the fetched frames. */
  missing: number;
  /** All missing blocks equal to `block`, as destinations once a frame has arrived. */
  places(block: number): readonly number[];
}>;

export type PlanInput = Readonly<{
  head: BlocksHead;
  /** The short leaves of the whole release. */
  shorts: Uint8Array;
  /** The volume to copy from. */
  old: ShortLookup | undefined;
  /** Blocks already in place. */
  kept: BlockSet;
  volume: Volume;
  manifest: Manifest;
}>;

/** Makes the plan; throws if the short leaves are not those of the head. */
export function planBlocks({ head, shorts, old, kept, volume, manifest }: PlanInput): BlocksPlan {
  if (!hash('sha256', shorts, 'buffer').equals(head.leavesSha256))
    throw mismatch('the leaves, taken together, are not those of the head');
  const { copies, zeros, missing } = localBlocks({ shorts, old, kept, volume, manifest });
  const { find, places } = chainsOf(shorts, missing);
  const { frames, served } = newsFrames(head, find, volume.blocks);
  const unserved = missing.filter((block) => find(block) === block && !served.has(block));
  return { copies, zeros, frames, rest: bundleFrames(unserved, volume, manifest), missing: missing.length, places };
}

type Local = Readonly<{ copies: readonly Copy[]; zeros: readonly Extent[]; missing: Uint32Array }>;

/** The blocks this host has, and those it lacks. */
function localBlocks({ shorts, old, kept, volume, manifest }: Omit<PlanInput, 'head'>): Local {
  const zero = shorten(blockDigests(Buffer.from(rootOf(manifest).verity.salt, 'hex'), new Uint8Array(BLOCK)));
  const isZero = (block: number): boolean => sameShort(shorts, block, zero, 0);
  const copies: { to: number; from: number; count: number }[] = [];
  const missing = new Uint32Array(volume.blocks);
  let lacking = 0;
  for (let block = 0; block < volume.blocks; block += 1) {
    if (kept.has(block) || isZero(block)) continue;
    const from = old === undefined ? -1 : sourceOf(block, copies.at(-1), shorts, old);
    if (from < 0) missing[lacking++] = block;
    else addCopy(copies, block, from);
  }
  const zeros = extentsWhere(volume.blocks, (block) => !kept.has(block) && isZero(block));
  return { copies, zeros, missing: missing.subarray(0, lacking) };
}

/** The source of a block: preferably right after the previous block's, so that runs are long. */
function sourceOf(block: number, last: Copy | undefined, shorts: Uint8Array, old: ShortLookup): number {
  const next = last && last.to + last.count === block ? last.from + last.count : old.blocks;
  return next < old.blocks && sameShort(old.shorts, next, shorts, block) ? next : old.find(shorts, block);
}

function addCopy(copies: { to: number; from: number; count: number }[], to: number, from: number): void {
  const last = copies.at(-1);
  if (last && last.to + last.count === to && last.from + last.count === from) last.count += 1;
  else copies.push({ to, from, count: 1 });
}

type Chains = Readonly<{ find(block: number): number; places(block: number): readonly number[] }>;

/** Links equal missing blocks; `find` returns the first block equal to another, or -1. */
function chainsOf(shorts: Uint8Array, missing: Uint32Array): Chains {
  const firsts = lookup(shorts, missing);
  const next = new Int32Array(shorts.length / SHORT).fill(-1);
  const find = (block: number): number => firsts.find(shorts, block);
  // Backwards, so that each chain is in order.
  for (let at = missing.length - 1; at >= 0; at -= 1) {
    const block = missing[at] ?? 0;
    const first = find(block);
    if (first === block) continue;
    next[block] = next[first] ?? -1;
    next[first] = block;
  }
  const places = (block: number): readonly number[] => {
    const chain: number[] = [];
    for (let at = find(block); at >= 0; at = next[at] ?? -1) chain.push(at);
    return chain;
  };
  return { find, places };
}

type News = Readonly<{ frames: readonly number[]; served: BlockSet }>;

/** The frames of the news with missing blocks, and the missing blocks in them. */
function newsFrames({ news, frames }: BlocksHead, find: Chains['find'], blocks: number): News {
  const served = blockSet(blocks);
  const wanted: number[] = [];
  for (let frame = 0; frame < frames.count; frame += 1) {
    const before = served.count;
    for (let at = frames.firsts[frame] ?? 0; at < (frames.firsts[frame + 1] ?? 0); at += 1) {
      const first = find(news[at] ?? 0);
      if (first >= 0) served.add(first);
    }
    if (served.count > before) wanted.push(frame);
  }
  return { frames: wanted, served };
}

/** The frames of the bundle with these blocks, which are in order. */
function bundleFrames(blocks: Uint32Array, volume: Volume, manifest: Manifest): BlocksPlan['rest'] {
  const frames: { role: Role; frame: number }[] = [];
  for (const { role, first, blocks: count } of volume.parts) {
    const perFrame = (imageOf(manifest, role)?.frameSize ?? BLOCK) / BLOCK;
    let last = -1;
    for (const block of blocks) {
      const frame = Math.floor((block - first) / perFrame);
      if (block < first || block >= first + count || frame === last) continue;
      frames.push({ role, frame });
      last = frame;
    }
  }
  return frames;
}

/** The group that starts at a block. */
function groupAt(firsts: Uint32Array, block: number): number {
  let [low, high] = [0, firsts.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((firsts[middle] ?? 0) < block) low = middle + 1;
    else high = middle;
  }
  if (firsts[low] !== block) throw new RangeError(`No group begins at block ${block}.`);
  return low;
}

const mismatch = (what: string): UpdateError =>
  new UpdateError('delta-mismatch', `The delta's index is wrong: ${what}.`);
