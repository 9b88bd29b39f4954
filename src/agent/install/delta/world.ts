/** The parts of the host needed to assemble a release from the running system. */

import type { ByteSource } from '../../../bundle/byte-source.ts';
import type { RangeSource } from '../../../system/http/mirrors.ts';
import type { ByteRange, RangePlan } from '../../../system/http/range-plan.ts';
import type { RangePiece } from '../../../system/http/ranges.ts';
import type { DeltaCache } from './cache.ts';
import type { RunningSystem } from './running-system.ts';

/** A delta file or a bundle: read in one pass from `source`, or by ranges from its mirrors. */
export type RemoteFile = Readonly<{ source: ByteSource; mirrors: readonly RangeSource[] }> & Partial<AsyncDisposable>;

/** The ranges, each complete and once, in any order. If `check` throws, other mirrors are asked; the error is thrown if none is better. */
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
