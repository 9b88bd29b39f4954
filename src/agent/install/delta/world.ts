/** What putting a release together from the running system needs of the host. */

import type { ByteSource } from '../../../bundle/byte-source.ts';
import type { RangeSource } from '../../../system/http/mirrors.ts';
import type { ByteRange, RangePlan } from '../../../system/http/range-plan.ts';
import type { RangePiece } from '../../../system/http/ranges.ts';
import type { DeltaCache } from './cache.ts';
import type { RunningSystem } from './running-system.ts';

/** A delta file, or a bundle, wherever it lies: to be read in one go from `source`, or by ranges from its mirrors. */
export type RemoteFile = Readonly<{ source: ByteSource; mirrors: readonly RangeSource[] }> & Partial<AsyncDisposable>;

/** The ranges, each whole and once, in any order. What `check` throws for is asked of other mirrors, and thrown if none has better. */
export type FetchRanges = (
  mirrors: readonly RangeSource[],
  ranges: readonly ByteRange[],
  options: Readonly<{ signal: AbortSignal; check?: (range: number, bytes: Uint8Array) => void; plan?: RangePlan }>,
) => AsyncIterable<RangePiece>;

export type DeltaWorld = Readonly<{
  openRunning(): Promise<RunningSystem | undefined>;
  fetchRanges: FetchRanges;
  cache: DeltaCache;
}>;
