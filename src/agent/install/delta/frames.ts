/** Fetches compressed frames by ranges, checks and decodes them, and delivers plain bytes. */

import { hash } from 'node:crypto';
import type { DecodeJob } from '../../../bundle/decode/batch.ts';
import { giveBack } from '../../../bundle/decode/memory.ts';
import type { DecodePool, PlainRun } from '../../../bundle/decode/pool.ts';
import { plainSizeOf } from '../../../bundle/frames.ts';
import type { Extent, Volume } from '../../../bundle/image/volume.ts';
import { entryOf } from '../../../bundle/layout.ts';
import type { Bundle } from '../../../bundle/reader.ts';
import { BLOCK } from '../../../bundle/verity.ts';
import { UpdateError } from '../../../errors.ts';
import type { Role } from '../../../model.ts';
import type { ByteRange } from '../../../system/http/range-plan.ts';
import type { Log } from '../../../system/log.ts';
import { type Assembly, wholeBlocks, writeMissing } from './assembly.ts';
import type { FetchRanges, RemoteFile } from './world.ts';

/** A frame of a file: the range and digest of its bytes, and the position of its plain bytes in the row that `place` fills. */
export type WantedFrame = Readonly<{ range: ByteRange; sha256: Uint8Array; offset: number; plainSize: number }>;

export type FrameFetch = Readonly<{
  file: RemoteFile;
  fetchRanges: FetchRanges;
  pool: Pick<DecodePool, 'map'>;
  log: Pick<Log, 'warn'>;
  signal: AbortSignal;
}>;

/** Frames that no mirror has intact are logged and skipped. */
export async function fetchFrames(
  job: FrameFetch,
  wanted: readonly WantedFrame[],
  place: (run: PlainRun) => Promise<void>,
): Promise<void> {
  if (wanted.length > 0) for await (const run of job.pool.map(jobs(job, wanted))) await place(run);
}

async function* jobs(
  { file, fetchRanges, log, signal }: FrameFetch,
  wanted: readonly WantedFrame[],
): AsyncGenerator<DecodeJob> {
  const left = new Set(wanted);
  for (let damaged = 0; left.size > 0; ) {
    const asked = [...left];
    try {
      const check = (index: number, bytes: Uint8Array): void => checkFrame(asked, index, bytes);
      const ranges = asked.map(({ range }) => range);
      for await (const { range: index, bytes: unchecked } of fetchRanges(file.mirrors, ranges, { signal, check })) {
        const frame = asked[index];
        if (!frame) throw new RangeError(`A range that was not requested: ${index}.`);
        left.delete(frame);
        yield { frame: { ...frame, index, unchecked } };
        giveBack(unchecked);
      }
      return;
    } catch (error) {
      const frame = error instanceof DamagedFrame ? asked[error.index] : undefined;
      if (!frame || damaged === MOST_DAMAGED) throw error;
      damaged += 1;
      left.delete(frame);
      log.warn({ file: file.source.name, start: frame.range.start }, 'a frame arrived damaged');
    }
  }
}

/** Distinguishes a single frame to skip from all other failures. */
class DamagedFrame extends UpdateError {
  readonly index: number;
  constructor(index: number, { range }: WantedFrame) {
    super('frame-mismatch', `The frame at byte ${range.start} does not match its digest.`);
    this.index = index;
  }
}

function checkFrame(asked: readonly WantedFrame[], index: number, bytes: Uint8Array): void {
  const frame = asked[index];
  if (frame && !hash('sha256', bytes, 'buffer').equals(frame.sha256)) throw new DamagedFrame(index, frame);
}

export type BundleFrame = Readonly<{ role: Role; frame: number }>;

/** The frames of the bundle; their bytes are placed in the row of the volume. */
export async function bundleFrames(
  bundle: Bundle,
  volume: Volume,
  frames: readonly BundleFrame[],
  signal: AbortSignal,
): Promise<readonly WantedFrame[]> {
  const wanted: WantedFrame[] = [];
  for (const { role, first } of volume.parts) {
    const own = frames.filter((one) => one.role === role);
    if (own.length === 0) continue;
    const image = bundle.image(role);
    const table = await bundle.frameTable(role, signal);
    const { offset } = entryOf(bundle.layout, role, 'blob');
    for (const { frame } of own)
      wanted.push({
        range: { start: offset + (table.offsets[frame] ?? 0), end: offset + (table.offsets[frame + 1] ?? 0) },
        sha256: table.sha256(frame),
        offset: first * BLOCK + frame * image.frameSize,
        plainSize: plainSizeOf(image, frame),
      });
  }
  return wanted;
}

/** The frames of the bundle that hold these blocks. */
export function framesHolding(bundle: Bundle, volume: Volume, missing: readonly Extent[]): readonly BundleFrame[] {
  return volume.parts.flatMap(({ role, first, blocks }) => {
    const perFrame = bundle.image(role).frameSize / BLOCK;
    const found = new Set<number>();
    for (const extent of missing) {
      const from = Math.max(extent.first, first) - first;
      const until = Math.min(extent.first + extent.count, first + blocks) - first;
      for (let block = from; block < until; block = (Math.floor(block / perFrame) + 1) * perFrame)
        found.add(Math.floor(block / perFrame));
    }
    return [...found].map((frame) => ({ role, frame }));
  });
}

/** Writes those blocks of a run of the volume that are still missing. */
export async function placeMissing(assembly: Assembly, volume: Volume, { offset, bytes }: PlainRun): Promise<void> {
  const first = offset / BLOCK;
  const whole = wholeBlocks(bytes);
  if (first + whole.length / BLOCK > volume.blocks)
    throw new UpdateError('delta-invalid', 'A frame reaches past the end.');
  await writeMissing(assembly, first, whole);
}

const MOST_DAMAGED = 16;
