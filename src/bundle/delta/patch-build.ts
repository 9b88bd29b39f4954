/** Builds a patch: the delta from exactly one release to another. */

import { hash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import type { ScratchFile } from '../../system/disk/scratch.ts';
import type { BlockReader, Extent } from '../image/volume.ts';
import { rootOf } from '../manifest.ts';
import { BLOCK, blockDigests, DIGEST } from '../verity.ts';
import { createAligner } from './alignment.ts';
import type { Copy } from './copy.ts';
import { type BuiltDelta, type DeltaOutput, writeDelta } from './delta-file.ts';
import { createFeatureIndex, type FeatureIndex, sampleFeatures } from './features.ts';
import { fill, type Gathered, gatherSegments } from './patch-cut.ts';
import { blocksIn, encodePatchHead, type SegmentDraft, segmentCheck } from './patch-head.ts';
import { addPair, patchMoves } from './patch-moves.ts';
import { type Form, formOf, looksTrained, packForm } from './patch-pack.ts';
import { createReferences } from './references.ts';
import type { UnpackedRelease } from './unpack.ts';

/** `threads`: segments compressed in parallel; does not affect the result. */
export type PatchOptions = Readonly<{
  signal: AbortSignal;
  progress?: (done: number, total: number) => void;
  level?: number;
  threads?: number;
}>;

/** The inputs of a patch. */
export type PatchSide = Pick<UnpackedRelease, 'manifest' | 'volume' | 'blocks' | 'leaves'>;

/** Writes the patch from one release to the other. */
export async function buildPatch(
  from: PatchSide,
  to: PatchSide,
  out: DeltaOutput,
  options: PatchOptions,
): Promise<BuiltDelta> {
  const moves = patchMoves(from.leaves, to.leaves, zeroLeafOf(from, to));
  const body = await out.scratch.create('patch-segments');
  const index = await indexOf(from.blocks, options.signal);
  const drafts = await packAll({ from, to, news: moves.news, index, body }, options);
  const segments = withRepeats(drafts, moves.repeats);
  const head = encodePatchHead(moves.copies, segments, from.volume, to.volume);
  return writeDelta(head, [body.open(0, options.signal)], out);
}

/** Level 17 takes three fifths of the time for 1.3 % more bytes, measured on kernel modules and programs. */
const LEVEL = 19;
const THREADS = 2;
const CUT = { least: 64, most: 128 };
const REFERENCE_BLOCKS = 320;
/** The approximate number of remembered windows of the old volume: about a hundred megabytes of memory. */
const WINDOWS = 2 ** 23;

function zeroLeafOf(from: PatchSide, to: PatchSide): Uint8Array {
  const salt = rootOf(to.manifest).verity.salt;
  if (rootOf(from.manifest).verity.salt !== salt)
    throw new UpdateError(
      'delta-unsupported',
      'The two releases have different salts, so no block of them is the same.',
    );
  return blockDigests(Buffer.from(salt, 'hex'), new Uint8Array(BLOCK));
}

/** One window in `2 ** sampleLog` is examined. */
const sampleLog = (blocks: number): number => Math.max(8, Math.ceil(Math.log2((blocks * BLOCK) / WINDOWS)));

/** An index of the old volume's content. */
async function indexOf(blocks: BlockReader, signal: AbortSignal): Promise<FeatureIndex> {
  const log = sampleLog(blocks.blocks);
  const index = createFeatureIndex((blocks.blocks * BLOCK) / 2 ** log);
  for (let first = 0; first < blocks.blocks; first += READ) {
    signal.throwIfAborted();
    const bytes = await blocks.read(first, Math.min(READ, blocks.blocks - first));
    sampleFeatures(bytes, log, (feature, end) => index.add(feature, first + Math.floor((end - 1) / BLOCK)));
  }
  return index;
}

const READ = 256;

type Work = Readonly<{ from: PatchSide; to: PatchSide; news: Uint32Array; index: FeatureIndex; body: ScratchFile }>;
type Packed = Readonly<{ draft: SegmentDraft; packed: Uint8Array }>;

/** Compresses the new blocks into `body`, several segments in parallel, written in order. */
async function packAll(work: Work, options: PatchOptions): Promise<SegmentDraft[]> {
  const { from, to, news, index, body } = work;
  const { signal, progress = () => {}, level = LEVEL, threads = THREADS } = options;
  const refer = createReferences(index, {
    blocks: from.volume.blocks,
    limit: REFERENCE_BLOCKS,
    log: sampleLog(from.volume.blocks),
  });
  const align = createAligner(REFERENCE_BLOCKS * BLOCK);
  const drafts: SegmentDraft[] = [];
  const waiting: Promise<Packed>[] = [];
  let blocks = 0;
  const writeNext = async (): Promise<void> => {
    const { draft, packed } = await (waiting.shift() as Promise<Packed>);
    await body.write(body.size, packed);
    drafts.push(draft);
    blocks += blocksIn(draft.to);
    progress(blocks * BLOCK, news.length * BLOCK);
  };
  try {
    for await (const gathered of gatherSegments(to.blocks, news, CUT)) {
      signal.throwIfAborted();
      const dictionary = await readReferences(from.blocks, refer(gathered.plain, gathered.to));
      const form = formOf(align, gathered.plain, dictionary.bytes);
      // Freed explicitly: waiting for the garbage collector would cost a hundred megabytes.
      if (form.kind === 'added') dictionary.bytes.buffer.transfer(0);
      waiting.push(started(packOne(gathered, form, dictionary.extents, to.leaves, level)));
      if (waiting.length > threads) await writeNext();
    }
    while (waiting.length > 0) await writeNext();
  } finally {
    await Promise.allSettled(waiting);
  }
  return drafts;
}

/** A failure is reported in its turn. */
function started<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

type References = Readonly<{ extents: readonly Extent[]; bytes: Uint8Array<ArrayBuffer> }>;

async function readReferences(blocks: BlockReader, extents: readonly Extent[]): Promise<References> {
  const bytes = new Uint8Array(blocksIn(extents) * BLOCK);
  await fill(blocks, extents, bytes);
  // zstd would treat it as a trained dictionary; such a block is left out, and possibly the next one too.
  const [first, ...rest] = extents;
  if (first === undefined || !looksTrained(bytes)) return { extents, bytes };
  const shorter = first.count > 1 ? [{ first: first.first + 1, count: first.count - 1 }, ...rest] : rest;
  return readReferences(blocks, shorter);
}

async function packOne(
  { to }: Gathered,
  form: Form,
  dictionary: readonly Extent[],
  leaves: Uint8Array,
  level: number,
): Promise<Packed> {
  const packed = await packForm(form, level);
  const draft = {
    to,
    also: [],
    dictionary,
    packedSize: packed.length,
    sha256: new Uint8Array(hash('sha256', packed, 'buffer')),
    check: segmentCheck(to, (block) => leaves.subarray(block * DIGEST, (block + 1) * DIGEST)),
  };
  return { draft, packed };
}

/** Assigns each repeat to the segment with its content. */
function withRepeats(drafts: readonly SegmentDraft[], repeats: readonly Copy[]): SegmentDraft[] {
  const makers = new Map<number, readonly [draft: number, place: number]>();
  for (const [index, draft] of drafts.entries()) {
    let place = 0;
    for (const { first, count } of draft.to)
      for (let block = first; block < first + count; block += 1) makers.set(block, [index, place++]);
  }
  const also = drafts.map((): Copy[] => []);
  for (const { to, from, count } of repeats)
    for (let at = 0; at < count; at += 1) {
      const [index, place] = makers.get(from + at) as readonly [number, number];
      addPair(also[index] as Copy[], to + at, place);
    }
  return drafts.map((draft, index) => ({ ...draft, also: also[index] as Copy[] }));
}
