/** Chooses the old blocks that a patch segment refers to: those with the most in common, and their neighbours. */

import type { Extent } from '../image/volume.ts';
import { BLOCK } from '../verity.ts';
import { type FeatureIndex, sampleFeatures } from './features.ts';
import { blocksIn } from './patch-head.ts';

/** `limit`: the most blocks. `log`: the index's sampling. */
export type ReferenceOptions = Readonly<{ blocks: number; limit: number; log: number }>;

/** Chooses for the next segment, given its bytes and its blocks in the new volume. */
export type Chooser = (plain: Uint8Array, to: readonly Extent[]) => Extent[];

/** A chooser over an old volume of that many blocks; segments are given in order. */
export function createReferences(index: FeatureIndex, { blocks, limit, log }: ReferenceOptions): Chooser {
  const votes = new Float32Array(blocks);
  let touched: number[] = [];
  let anchor: Anchor | undefined;
  let seen = 0;

  const vote = (block: number, weight: number): void => {
    if (block < 0 || block >= blocks) return;
    if (votes[block] === 0) touched.push(block);
    votes[block] = (votes[block] as number) + weight;
  };
  /** Tables full of addresses share no window with their old versions, but lie between code that does. */
  const guess = (from: number, end: number): void => {
    for (let block = from; block < end; block += 1) vote(block, GUESSED);
  };
  const moveTo = (next: Anchor, first: number): void => {
    const start = next.from - (next.to - first);
    if (anchor !== undefined && belongs(anchor, next)) guess(Math.max(anchor.from + 1, start - SLACK), next.from);
    else guess(start, next.from);
    anchor = next;
  };
  const chooseFor = (plain: Uint8Array, { first, count }: Extent): void => {
    if (first !== seen) anchor = undefined;
    sampleFeatures(plain, log, (feature, end) =>
      index.visit(feature, (from, of) => {
        vote(from, 1 / of);
        if (of === 1) moveTo({ to: first + Math.floor((end - 1) / BLOCK), from }, first);
      }),
    );
    seen = first + count;
    if (anchor === undefined || seen - anchor.to > FAR) return;
    const start = anchor.from + Math.max(0, first - anchor.to - SLACK);
    guess(start + 1, anchor.from + seen - anchor.to + SLACK);
  };

  return (plain, to) => {
    touched = [];
    let at = 0;
    for (const extent of to) {
      chooseFor(plain.subarray(at * BLOCK, (at + extent.count) * BLOCK), extent);
      at += extent.count;
    }
    const clusters = clustersOf(touched.sort(ascending), votes, blocks);
    for (const block of touched) votes[block] = 0;
    return best(clusters, limit);
  };
}

/** A new block and the only old one that shares a window with it. */
type Anchor = Readonly<{ to: number; from: number }>;

/** The most blocks over which a guess extends: the tables of the largest kernel module. */
const FAR = 2048;
/** The tolerance of a guess, in blocks. */
const SLACK = 8;
/** The weight of a guess, relative to a window that was found. */
const GUESSED = 0.1;

/** Whether the gap between both is about equally long in the old and new volumes. */
function belongs(before: Anchor, after: Anchor): boolean {
  const [to, from] = [after.to - before.to, after.from - before.from];
  return to <= FAR && from >= 0 && Math.abs(from - to) <= 4 + to / 8;
}

const ascending = (a: number, b: number): number => a - b;

type Cluster = { first: number; end: number; score: number };

/** Votes this close belong to the same stretch of the old volume. */
const NEAR = 12;
/** The neighbourhood of a vote is likely to be useful too. */
const MARGIN = 1;

function clustersOf(touched: readonly number[], votes: Float32Array, blocks: number): Cluster[] {
  const clusters: Cluster[] = [];
  for (const block of touched) {
    const last = clusters.at(-1);
    const end = Math.min(blocks, block + 1 + MARGIN);
    const score = votes[block] as number;
    if (last !== undefined && block - last.end <= NEAR) {
      last.end = end;
      last.score += score;
    } else clusters.push({ first: Math.max(last?.end ?? 0, block - MARGIN), end, score });
  }
  return clusters;
}

/** The best clusters, up to the limit, in volume order, so that one sweep reads them. */
function best(clusters: Cluster[], limit: number): Extent[] {
  clusters.sort((a, b) => b.score - a.score || a.first - b.first);
  const taken: Extent[] = [];
  let room = limit;
  for (const { first, end, score } of clusters) {
    if (score < WORTH || room === 0) break;
    const count = Math.min(room, end - first);
    taken.push({ first, count });
    room -= count;
  }
  return merged(taken.sort((a, b) => a.first - b.first));
}

/** Fewer votes are chance. */
const WORTH = 1;

function merged(extents: readonly Extent[]): Extent[] {
  const joined: Extent[] = [];
  for (const { first, count } of extents) {
    const last = joined.at(-1);
    if (last !== undefined && last.first + last.count === first)
      joined[joined.length - 1] = { first: last.first, count: blocksIn([last, { count }]) };
    else joined.push({ first, count });
  }
  return joined;
}
