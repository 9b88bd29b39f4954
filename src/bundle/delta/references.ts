/** Chooses the old blocks that a segment of a patch refers to: those that share most with it, and what lies around them. */

import type { Extent } from '../volume.ts';
import { type FeatureIndex, sampleFeatures } from './features.ts';
import { blocksIn } from './patch-head.ts';

/** `limit`: blocks at most. `log`: as the index was sampled. */
export type ReferenceOptions = Readonly<{ blocks: number; limit: number; log: number }>;

/** Makes a chooser over an old volume of so many blocks. The same bytes get the same answer, whatever was asked before. */
export function createReferences(
  index: FeatureIndex,
  { blocks, limit, log }: ReferenceOptions,
): (plain: Uint8Array) => Extent[] {
  const votes = new Float32Array(blocks);
  return (plain) => {
    const touched: number[] = [];
    const vote = (block: number, of: number): void => {
      if (votes[block] === 0) touched.push(block);
      votes[block] = (votes[block] as number) + 1 / of;
    };
    sampleFeatures(plain, log, (feature) => index.visit(feature, vote));
    const clusters = clustersOf(touched.sort(ascending), votes, blocks);
    for (const block of touched) votes[block] = 0;
    return best(clusters, limit);
  };
}

const ascending = (a: number, b: number): number => a - b;

type Cluster = { first: number; end: number; score: number };

/** Votes this near one another belong to the same stretch of the old volume. */
const NEAR = 6;
/** What lies around a vote is likely to be of use too. */
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

/** The clusters that say most, up to the limit; in the order of the old volume, so that they are read in one sweep. */
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

/** Less than this is chance. */
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
