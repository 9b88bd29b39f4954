/** The inputs of every tier, and its counters. */

import { hash } from 'node:crypto';
import { createCursor } from '../../../bundle/cursor.ts';
import type { DecodePool } from '../../../bundle/decode/pool.ts';
import type { BlockSet } from '../../../bundle/delta/copy.ts';
import type { Volume } from '../../../bundle/image/volume.ts';
import type { Bundle } from '../../../bundle/reader.ts';
import { BLOCK } from '../../../bundle/verity.ts';
import { UpdateError } from '../../../errors.ts';
import type { UkiPart } from '../../../reboot/kernels/uki-part.ts';
import type { BlockTarget } from '../../../system/disk/block-target.ts';
import type { Log } from '../../../system/log.ts';
import type { TrustedDelta } from '../../../verify/deltas.ts';
import { type Assembly, openAssembly } from './assembly.ts';
import type { DeltaCache } from './cache.ts';
import type { OldVolume } from './running-system.ts';
import { readStanding, type Standing } from './target-volume.ts';
import type { FetchRanges, RemoteFile } from './world.ts';

/** Bytes of blocks copied from the running system, and of blocks that were already correct. */
export type Tally = { copied: number; kept: number };

/** Reports progress, by the phase of an assembly. */
export type DeltaPhase = 'check' | 'download';

export type DeltaJob = Readonly<{
  bundle: Bundle;
  volume: Volume;
  old: OldVolume;
  slot: Readonly<{ root: BlockTarget; verity: BlockTarget }>;
  uki?: UkiPart;
  delta: TrustedDelta;
  file: RemoteFile;
  /** The bundle, for frames that the delta lacks. */
  bundleFile: RemoteFile;
  fullSize: number;
  /** Whether another tier has written to the slot. */
  isAgain: boolean;
  fetchRanges: FetchRanges;
  cache: DeltaCache;
  pool: DecodePool;
  tally: Tally;
  told(phase: DeltaPhase, done: number, total: number): void;
  /** The number of bytes to fetch. */
  planned(bytes: number): void;
  log: Log;
  signal: AbortSignal;
}>;

/** All blocks are present; the read-back shows whether they are correct. */
export type Assembled = Readonly<{
  /** The expected short leaf of each block of the release; zeros where unknown. */
  promised: Uint8Array;
  /** Gets these blocks from another source; throws if this tier cannot. */
  mend(wrong: BlockSet): Promise<void>;
}>;

/** `isKnown`: it was in the cache, so an attempt with it may have been interrupted. */
export type Head = Readonly<{ bytes: Uint8Array; isKnown: boolean }>;

/** The signed head of the delta, from the cache if it is there. */
export async function readHead({ delta: { head }, file, cache, signal }: DeltaJob): Promise<Head> {
  const name = headName(head);
  const isRight = (bytes: Uint8Array | undefined): bytes is Uint8Array =>
    bytes !== undefined && bytes.length === head.size && hash('sha256', bytes, 'hex') === head.sha256;
  const kept = await cache.load(name);
  if (isRight(kept)) return { bytes: kept, isKnown: true };
  await using cursor = createCursor(file.source, 0, head.size, signal);
  const bytes = await cursor.copy(head.size);
  if (!isRight(bytes))
    throw new UpdateError('delta-mismatch', `The head of ${file.source.name} is not the signed one.`);
  await cache.save(name, bytes);
  return { bytes, isKnown: false };
}

/** The contents of the free slot. A slot without a superblock is searched only after an attempt with this delta. */
export async function standingOf(job: DeltaJob, { isKnown }: Head): Promise<Standing> {
  const { volume, old, slot, uki, pool, told, signal } = job;
  const progress = (done: number, total: number): void => told('check', done * BLOCK, total * BLOCK);
  const isFirst = !isKnown && !job.isAgain;
  return readStanding({ volume, salt: old.salt, ...slot, ...(uki ? { uki } : {}), pool, signal, isFirst, progress });
}

/** Begins to write; `kept` are the blocks that are already correct. */
export async function begin({ volume, slot, uki, tally, told }: DeltaJob, kept: BlockSet): Promise<Assembly> {
  tally.kept = kept.count * BLOCK;
  const progress = (done: number): void => told('download', done, volume.blocks * BLOCK);
  return openAssembly({ volume, ...slot, kept, progress, ...(uki ? { uki } : {}) });
}

/** The cache entry of this delta. */
export const headName = (head: TrustedDelta['head']): string => `${head.sha256}.head`;
export const leavesName = (head: TrustedDelta['head']): string => `${head.sha256}.leaves`;
