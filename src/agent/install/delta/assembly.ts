/** A release assembled in the free slot, its blocks in any order. The slot has no superblock until all blocks are present. */

import { type BlockSet, extentsWhere } from '../../../bundle/delta/copy.ts';
import type { Volume } from '../../../bundle/image/volume.ts';
import { BLOCK } from '../../../bundle/verity.ts';
import { type ImageWriter, openImage } from '../../../partitions/image-writer.ts';
import type { UkiPart } from '../../../reboot/kernels/uki-part.ts';
import type { BlockTarget } from '../../../system/disk/block-target.ts';

export interface Assembly {
  /** The correct blocks: kept and written ones. */
  readonly present: BlockSet;
  /** Whole blocks, each once; the caller has checked them. Several calls may run at a time. */
  write(first: number, bytes: Uint8Array): Promise<void>;
  /** Copied blocks, some of them filler: filler may be written over missing blocks, and does not count as present. */
  copy(first: number, bytes: Uint8Array, isFiller: (block: number) => boolean): Promise<void>;
  /** Makes the written blocks durable. */
  flush(): Promise<void>;
  /** All blocks are present: now the slot gets its superblock. */
  finish(): Promise<void>;
}

export type AssemblyPlace = Readonly<{
  volume: Volume;
  root: BlockTarget;
  verity?: BlockTarget;
  uki?: UkiPart;
  /** Blocks that need not be written; never block 0. */
  kept: BlockSet;
  progress?: (bytes: number) => void;
}>;

/** Begins by removing the slot's tree and superblock, which marks an interrupted attempt. */
export async function openAssembly({ volume, root, verity, uki, kept, progress }: AssemblyPlace): Promise<Assembly> {
  const [rootPart] = volume.parts;
  if (!rootPart) throw new RangeError('A volume without a root image.');
  // With an old tree, the blocks that we write would look wrong.
  await verity?.write(0, new Uint8Array(BLOCK));
  await verity?.flush();
  const image = await openImage(root, rootPart.size);
  const file = uki && gathered(uki, volume);
  const inTurn = turns();
  let unflushed = 0;

  const flush = async (): Promise<void> => {
    await file?.flush();
    await image.flush();
    unflushed = 0;
  };

  const send = async (first: number, bytes: Uint8Array): Promise<void> => {
    const count = bytes.length / BLOCK;
    const ofRoot = Math.max(0, Math.min(rootPart.blocks - first, count));
    if (ofRoot > 0) await image.write(first * BLOCK, bytes.subarray(0, ofRoot * BLOCK));
    if (ofRoot < count) await file?.write((first + ofRoot - rootPart.blocks) * BLOCK, bytes.subarray(ofRoot * BLOCK));
  };

  const write = async (first: number, bytes: Uint8Array): Promise<void> => {
    await send(first, bytes);
    kept.addRange(first, bytes.length / BLOCK);
    unflushed += bytes.length;
    if (unflushed >= FLUSH_EVERY) await flush();
    progress?.(kept.count * BLOCK);
  };

  const copy: Assembly['copy'] = async (first, bytes, isFiller) => {
    const blocks = bytes.length / BLOCK;
    for (const run of extentsWhere(blocks, (at) => !(isFiller(first + at) && kept.has(first + at))))
      await send(first + run.first, bytes.subarray(run.first * BLOCK, (run.first + run.count) * BLOCK));
    for (let block = first; block < first + blocks; block += 1) if (!isFiller(block)) kept.add(block);
    progress?.(kept.count * BLOCK);
  };

  return {
    present: kept,
    write: (first, bytes) => inTurn(() => write(first, bytes)),
    copy: (first, bytes, isFiller) => inTurn(() => copy(first, bytes, isFiller)),
    flush: () => inTurn(flush),
    finish: async () => {
      if (kept.count !== volume.blocks)
        throw new RangeError(`${root.name}: ${kept.count} of ${volume.blocks} blocks were given.`);
      await file?.flush();
      await image.finish();
    },
  };
}

/** Runs one task after the other, in the order of the requests. */
function turns(): (deed: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (deed) => {
    const done = last.then(deed);
    last = done.catch(() => undefined);
    return done;
  };
}

/** Writes those of these blocks that are missing. */
export async function writeMissing(assembly: Assembly, first: number, bytes: Uint8Array): Promise<void> {
  const count = bytes.length / BLOCK;
  for (const run of extentsWhere(count, (block) => !assembly.present.has(first + block)))
    await assembly.write(first + run.first, bytes.subarray(run.first * BLOCK, (run.first + run.count) * BLOCK));
}

/** Writes each block to all places that miss its content; adjacent blocks are written at once. */
export async function writeSame(
  assembly: Assembly,
  bytes: Uint8Array,
  places: (index: number) => readonly number[],
): Promise<void> {
  const whole = wholeBlocks(bytes);
  const run = { to: 0, at: 0, count: 0 };
  const write = (to: number, at: number, count: number): Promise<void> =>
    assembly.write(to, whole.subarray(at * BLOCK, (at + count) * BLOCK));
  for (let index = 0; index * BLOCK < whole.length; index += 1) {
    const [first, ...others] = places(index).filter((place) => !assembly.present.has(place));
    for (const other of others) await write(other, index, 1);
    if (first === run.to + run.count && index === run.at + run.count) {
      run.count += 1;
      continue;
    }
    if (run.count > 0) await write(run.to, run.at, run.count);
    Object.assign(run, { to: first ?? 0, at: index, count: first === undefined ? 0 : 1 });
  }
  if (run.count > 0) await write(run.to, run.at, run.count);
}

/** The last block of a file, padded with zeros. */
export function wholeBlocks(bytes: Uint8Array): Uint8Array {
  if (bytes.length % BLOCK === 0) return bytes;
  const whole = new Uint8Array(Math.ceil(bytes.length / BLOCK) * BLOCK);
  whole.set(bytes);
  return whole;
}

/** The file is opened for every write, so small adjacent pieces are gathered. */
function gathered(uki: UkiPart, volume: Volume): Pick<ImageWriter, 'write' | 'flush'> {
  const size = volume.parts[1]?.size ?? 0;
  const buffer = new Uint8Array(GATHER);
  let offset = 0;
  let length = 0;
  const send = async (): Promise<void> => {
    const bytes = buffer.subarray(0, Math.max(0, Math.min(length, size - offset)));
    length = 0;
    if (bytes.length > 0) await uki.write(offset, bytes);
  };
  return {
    write: async (at, bytes) => {
      for (let done = 0; done < bytes.length; ) {
        if (at + done !== offset + length || length === GATHER) {
          await send();
          offset = at + done;
        }
        const part = bytes.subarray(done, done + GATHER - length);
        buffer.set(part, length);
        length += part.length;
        done += part.length;
      }
    },
    flush: async () => {
      await send();
      await uki.flush();
    },
  };
}

/** Fetched bytes between two flushes. Copies do not count: after a power cut they can be made again. */
const FLUSH_EVERY = 64 * 1024 * 1024;
const GATHER = 512 * 1024;
