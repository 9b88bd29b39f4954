/** Releases of made-up blocks, and a host in memory that does what a blocks file says. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeFrame } from '../../../src/bundle/decode/decode.ts';
import { type BlocksOptions, buildBlocks } from '../../../src/bundle/delta/blocks-build.ts';
import { type BlocksHead, parseBlocksHead } from '../../../src/bundle/delta/blocks-head.ts';
import { addLeaves, type BlocksPlan, knownLeaves, planBlocks } from '../../../src/bundle/delta/blocks-plan.ts';
import { type BlockSet, blockSet } from '../../../src/bundle/delta/copy.ts';
import { lookup, SHORT, sameShort, shorten } from '../../../src/bundle/delta/short-leaves.ts';
import type { UnpackedRelease } from '../../../src/bundle/delta/unpack.ts';
import { type Volume, volume } from '../../../src/bundle/image/volume.ts';
import type { Manifest } from '../../../src/bundle/manifest.ts';
import { BLOCK, blockDigests, saltFor } from '../../../src/bundle/verity.ts';
import type { Sha256 } from '../../../src/model.ts';
import { createScratch } from '../../../src/system/disk/scratch.ts';
import { realFiles } from '../../../src/system/files.ts';
import { about, noSignal, someBytes, temporaryFolder } from '../../support/bundles.ts';

const salt = saltFor(about.product);
const FRAME_SIZE = 4 * BLOCK;

/** The block with this number: 0 is all zeros, every third one ends as the last block of a file does. */
export function block(id: number): Uint8Array {
  if (id === 0) return new Uint8Array(BLOCK);
  const bytes = someBytes(BLOCK, id);
  return id % 3 === 0 ? bytes.fill(0, BLOCK / 2) : bytes.fill(id & 255 || 1, BLOCK - 2);
}

export type MadeRelease = Omit<UnpackedRelease, keyof AsyncDisposable> & Readonly<{ plain: Buffer }>;

/** A release whose root image and kernel image have these blocks. */
export function release(root: readonly number[], uki: readonly number[] = []): MadeRelease {
  const plain = Buffer.concat([...root, ...uki].map(block));
  const images = [
    { role: 'root' as const, size: root.length * BLOCK, frameSize: FRAME_SIZE, verity: { salt } },
    // The last block of a file is rarely full.
    ...(uki.length > 0 ? [{ role: 'uki' as const, size: uki.length * BLOCK - 1, frameSize: FRAME_SIZE }] : []),
  ];
  if (uki.length > 0) plain[plain.length - 1] = 0;
  return {
    plain,
    manifest: { ...about, schema: 1, images } as unknown as Manifest,
    manifestSha256: '' as Sha256,
    volume: volume(images),
    leaves: blockDigests(Buffer.from(salt, 'hex'), plain),
    blocks: {
      blocks: plain.length / BLOCK,
      read: async (first, count) => plain.subarray(first * BLOCK, (first + count) * BLOCK),
    },
  };
}

export type MadeFile = Readonly<{ bytes: Uint8Array; head: Uint8Array; parsed: BlocksHead }>;

/** The blocks file of a release for those who have one of the older ones. */
export async function blocksFile(
  to: MadeRelease,
  older: readonly MadeRelease[],
  options: Partial<BlocksOptions> = {},
): Promise<MadeFile> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'a.blocks');
  await using scratch = await createScratch(path);
  const out = { path, files: realFiles, scratch };
  const leaves = older.map((one) => one.leaves);
  const built = await buildBlocks(to, leaves, out, { signal: noSignal, level: 1, ...options });
  const bytes = new Uint8Array(await readFile(path));
  const head = bytes.subarray(0, built.head.size);
  return { bytes, head, parsed: parseBlocksHead(head, to.volume) };
}

/** What a host did: how much it fetched, and which blocks of the old volume it found to be wrong. */
export type Applied = Readonly<{ plain: Buffer; plan: BlocksPlan; leavesFetched: number; wrong: number }>;

/** A host on `old`, where what `old.plain` holds may be damaged, and where the blocks of `kept` lie right. */
export function apply(file: MadeFile, to: MadeRelease, old: MadeRelease | undefined, kept: BlockSet): Applied {
  const { volume, manifest } = to;
  const plain = Buffer.alloc(to.plain.length, 0xee);
  const present = blockSet(volume.blocks);
  const put = (at: number, bytes: Uint8Array): void => {
    plain.set(bytes, at * BLOCK);
    present.add(at);
  };
  for (let at = 0; at < volume.blocks; at += 1) if (kept.has(at)) put(at, blockOf(to.plain, at));

  const oldShorts = old && shorten(old.leaves);
  const { shorts, leavesFetched } = leavesOf(file, oldShorts ? [oldShorts] : []);
  const facts = { head: file.parsed, shorts, volume, manifest, kept: present };
  const plan = planBlocks({ ...facts, old: oldShorts && lookup(oldShorts) });
  for (const { first, count } of plan.zeros)
    for (let at = first; at < first + count; at += 1) put(at, new Uint8Array(BLOCK));
  let wrong = 0;
  for (const { to: first, from, count } of plan.copies)
    for (let n = 0; n < count; n += 1) {
      const bytes = blockOf(old?.plain ?? Buffer.alloc(0), from + n);
      const right = sameShort(shorten(blockDigests(Buffer.from(salt, 'hex'), bytes)), 0, oldShorts ?? shorts, from + n);
      if (right) put(first + n, bytes);
      else wrong += 1;
    }
  fetch(file, to, volume, planBlocks({ ...facts, old: undefined }), put);
  return { plain, plan, leavesFetched, wrong };
}

/** The leaves of the release: those that are known, and the others out of the file. */
export function leavesOf({ parsed, bytes }: MadeFile, rows: readonly Uint8Array[]) {
  const { shorts, unknown } = knownLeaves(parsed, ...rows);
  let leavesFetched = 0;
  for (const extent of unknown) {
    const start = parsed.size + extent.first * SHORT;
    addLeaves(parsed, shorts, extent, bytes.subarray(start, start + extent.count * SHORT));
    leavesFetched += extent.count;
  }
  return { shorts, leavesFetched };
}

type Put = (at: number, bytes: Uint8Array) => void;

function fetch({ parsed, bytes }: MadeFile, to: MadeRelease, volume: Volume, plan: BlocksPlan, put: Put): void {
  const { news, frames } = parsed;
  for (const frame of plan.frames) {
    const [first = 0, end = 0] = frames.firsts.subarray(frame, frame + 2);
    const plain = decodeFrame({
      index: frame,
      offset: first * BLOCK,
      plainSize: (end - first) * BLOCK,
      sha256: frames.sha256(frame),
      unchecked: bytes.subarray(...frames.offsets.subarray(frame, frame + 2)),
    });
    for (let at = first; at < end; at += 1)
      for (const place of plan.places(news[at] ?? -1)) put(place, blockOf(plain, at - first));
  }
  for (const { role, frame } of plan.rest) {
    const part = volume.parts.find((one) => one.role === role);
    if (part === undefined) throw new RangeError(`No ${role}.`);
    const first = (frame * FRAME_SIZE) / BLOCK;
    for (let at = first; at < Math.min(part.blocks, first + FRAME_SIZE / BLOCK); at += 1)
      for (const place of plan.places(part.first + at)) put(place, blockOf(to.plain, part.first + at));
  }
}

const blockOf = (plain: Uint8Array, at: number): Uint8Array => plain.subarray(at * BLOCK, (at + 1) * BLOCK);
