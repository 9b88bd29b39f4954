/** The cost of an update from one release to another, and the files that cause it. */

import { UpdateError } from '../../errors.ts';
import type { Version } from '../../model.ts';
import { type ImageBytes, imageBytes } from '../bundle-bytes.ts';
import type { DecodePool } from '../decode/pool.ts';
import { groupsOf } from '../delta/groups.ts';
import { lookup, SHORT, sameShort, shorten } from '../delta/short-leaves.ts';
import { leavesOfBundle } from '../delta/unpack.ts';
import type { FrameTable } from '../frames.ts';
import { type FileMap, type MappedFile, mapFiles } from '../image/file-map.ts';
import { type Volume, volumeOf } from '../image/volume.ts';
import { type Manifest, rootOf } from '../manifest.ts';
import type { Bundle } from '../reader.ts';
import { BLOCK, blockDigests } from '../verity.ts';

/** `fresh`: bytes that the old release lacks; `packed`: about their compressed size. */
export type CostlyFile = Readonly<{
  path: string;
  size: number;
  fresh: number;
  packed: number;
  is: 'new' | 'changed';
  why: string;
}>;

/** `other`: new blocks of no known file: folders, inodes, or all of an unreadable file system. */
export type Comparison = Readonly<{
  from: Version;
  to: Version;
  full: number;
  /** About the bytes that a host fetches block by block, index included. */
  blocks: number;
  index: number;
  fresh: number;
  /** Bytes of the new release that the old one has anywhere; hosts copy them or find them in place. */
  reused: number;
  files: readonly CostlyFile[];
  other: Readonly<{ fresh: number; packed: number; isFileSystemKnown: boolean }>;
}>;

/** Compares two bundles; the costliest files first. Reads little more than verity trees and folders. */
export async function compareBundles(
  to: Bundle,
  from: Bundle,
  pool: DecodePool,
  signal: AbortSignal,
): Promise<Comparison> {
  refuseStrangers(to.manifest, from.manifest);
  const shorts = shorten(await leavesOfBundle(to, pool, signal));
  const old = shorten(await leavesOfBundle(from, pool, signal));
  const images = await imagesOf(to, signal);
  const map = await mapOf(to.manifest, images);
  const before = await mapOf(from.manifest, await imagesOf(from, signal));
  const costs = await costOfBlocks(to, shorts, old, signal);
  const known = new Set(before.files.map(({ path }) => path));
  const files = await costlyFiles(to.manifest, map, costs, known, images);
  const index = indexSize(shorts, old);
  const { fresh, packed } = sum(costs, [{ path: '', first: 0, count: costs.length }])[0] ?? NOTHING;
  return {
    from: from.manifest.version,
    to: to.manifest.version,
    full: to.manifest.images.reduce((total, { blob, frames }) => total + blob.size + frames.size, 0),
    blocks: index + Math.round(packed),
    index,
    fresh,
    reused: reusedBlocks(to.manifest, shorts, old) * BLOCK,
    files,
    other: {
      fresh: fresh - files.reduce((total, file) => total + file.fresh, 0),
      packed: Math.max(0, Math.round(packed) - files.reduce((total, file) => total + file.packed, 0)),
      isFileSystemKnown: map.isComplete,
    },
  };
}

const NOTHING = { fresh: 0, packed: 0 };

function refuseStrangers(to: Manifest, from: Manifest): void {
  if (to.product !== from.product)
    throw new UpdateError('usage', `The old bundle is one of ${from.product}, not of ${to.product}.`);
  if (rootOf(to).verity.salt !== rootOf(from).verity.salt)
    throw new UpdateError(
      'delta-unsupported',
      'The two releases have different salts; hosts on the old one fetch the new one in full.',
    );
}

type Images = ReadonlyMap<string, ImageBytes>;

async function imagesOf(bundle: Bundle, signal: AbortSignal): Promise<Images> {
  const images = new Map<string, ImageBytes>();
  for (const { role } of volumeOf(bundle.manifest).parts) images.set(role, await imageBytes(bundle, role, signal));
  return images;
}

const mapOf = (manifest: Manifest, images: Images): Promise<FileMap> =>
  mapFiles(manifest, async (role, offset, length) => (await images.get(role)?.(offset, length)) ?? new Uint8Array());

/** For each block of the volume, its approximate compressed size; zero if the old release has it. */
async function costOfBlocks(
  to: Bundle,
  shorts: Uint8Array,
  old: Uint8Array,
  signal: AbortSignal,
): Promise<Float32Array> {
  const volume = volumeOf(to.manifest);
  const isFetched = fetchedTest(to.manifest, shorts, old);
  const costs = new Float32Array(volume.blocks);
  for (const { role, first, blocks } of volume.parts) {
    const table = await to.frameTable(role, signal);
    const perFrame = to.image(role).frameSize / BLOCK;
    for (let block = 0; block < blocks; block += 1)
      if (isFetched(first + block)) costs[first + block] = shareOf(table, Math.floor(block / perFrame), perFrame);
  }
  return costs;
}

const shareOf = (table: FrameTable, frame: number, perFrame: number): number =>
  ((table.offsets[frame + 1] ?? 0) - (table.offsets[frame] ?? 0)) / perFrame;

/** Not zeros, not in the old release, and the first with its content. */
function fetchedTest(manifest: Manifest, shorts: Uint8Array, old: Uint8Array): (block: number) => boolean {
  const [there, here] = [lookup(old), lookup(shorts)];
  const isZero = zeroTest(manifest, shorts);
  return (block) => !isZero(block) && there.find(shorts, block) < 0 && here.find(shorts, block) === block;
}

/** Non-zero blocks of the new release that the old one has. */
function reusedBlocks(manifest: Manifest, shorts: Uint8Array, old: Uint8Array): number {
  const there = lookup(old);
  const isZero = zeroTest(manifest, shorts);
  let count = 0;
  for (let block = 0; block * SHORT < shorts.length; block += 1)
    if (!isZero(block) && there.find(shorts, block) >= 0) count += 1;
  return count;
}

function zeroTest(manifest: Manifest, shorts: Uint8Array): (block: number) => boolean {
  const zero = shorten(blockDigests(Buffer.from(rootOf(manifest).verity.salt, 'hex'), new Uint8Array(BLOCK)));
  return (block) => sameShort(shorts, block, zero, 0);
}

/** The head with the digests of all groups, and the leaves of groups that the old release lacks. */
function indexSize(shorts: Uint8Array, old: Uint8Array): number {
  const groups = groupsOf(shorts);
  const there = lookup(groupsOf(old).digests);
  let size = 0;
  for (let group = 0; group + 1 < groups.firsts.length; group += 1) {
    size += SHORT + 1;
    if (there.find(groups.digests, group) < 0)
      size += ((groups.firsts[group + 1] ?? 0) - (groups.firsts[group] ?? 0)) * SHORT;
  }
  return size;
}

type Cost = MappedFile & Readonly<{ fresh: number; packed: number }>;

const sum = (costs: Float32Array, files: readonly MappedFile[]): Cost[] =>
  files.map((file) => {
    let [fresh, packed] = [0, 0];
    for (const cost of costs.subarray(file.first, file.first + file.count)) {
      fresh += cost > 0 ? BLOCK : 0;
      packed += cost;
    }
    return { ...file, fresh, packed };
  });

async function costlyFiles(
  manifest: Manifest,
  { files }: FileMap,
  costs: Float32Array,
  known: ReadonlySet<string>,
  images: Images,
): Promise<CostlyFile[]> {
  const volume = volumeOf(manifest);
  const costly = joined(sum(costs, unshared(files, costs.length)))
    .filter(({ fresh }) => fresh > 0)
    .sort((one, other) => other.packed - one.packed || (one.path < other.path ? -1 : 1));
  const named: CostlyFile[] = [];
  for (const [rank, { path, first, count, fresh, packed }] of costly.entries()) {
    const is = known.has(path) ? 'changed' : 'new';
    const size = count * BLOCK;
    const form = rank < LOOKED_AT ? await compression(volume, images, path, first, manifest) : undefined;
    named.push({ path, size, fresh, packed: Math.round(packed), is, why: reason(is, fresh / size, form) });
  }
  return named;
}

/** Sums the stretches of a file. */
function joined(stretches: readonly Cost[]): Cost[] {
  const files = new Map<string, Cost>();
  for (const one of stretches) {
    const { count, fresh, packed } = files.get(one.path) ?? { count: 0, fresh: 0, packed: 0 };
    const first = files.get(one.path)?.first ?? one.first;
    files.set(one.path, {
      path: one.path,
      first,
      count: count + one.count,
      fresh: fresh + one.fresh,
      packed: packed + one.packed,
    });
  }
  return [...files.values()];
}

/** Sections of a UKI may share a block, which counts for the first. */
function unshared(files: readonly MappedFile[], blocks: number): MappedFile[] {
  let end = 0;
  return [...files]
    .sort((one, other) => one.first - other.first)
    .flatMap(({ path, first, count }) => {
      const from = Math.max(first, end);
      const to = Math.min(first + count, blocks);
      end = Math.max(end, to);
      return to > from ? [{ path, first: from, count: to - from }] : [];
    });
}

/** Only listed files are examined; the others are not worth decoding a frame. */
const LOOKED_AT = 100;

function reason(is: CostlyFile['is'], share: number, form: string | undefined): string {
  if (is === 'new') return form === undefined ? 'new' : `new, ${form}`;
  if (form !== undefined) return `${form}: a change alters all that follows it`;
  return `${Math.round(share * 100)} % of it differs`;
}

const FORMS: readonly (readonly [string, string])[] = [
  ['1f8b', 'gzip'],
  ['28b52ffd', 'zstd'],
  ['fd377a585a00', 'xz'],
  ['425a68', 'bzip2'],
  ['04224d18', 'lz4'],
  ['02214c18', 'lz4'],
  ['504b0304', 'zip'],
  ['68737173', 'squashfs'],
];

/** The compression format of a file, by its first bytes. */
async function compression(
  volume: Volume,
  images: Images,
  path: string,
  block: number,
  manifest: Manifest,
): Promise<string | undefined> {
  const part = volume.parts.find(({ first, blocks }) => block >= first && block < first + blocks);
  const size = manifest.images.find(({ role }) => role === part?.role)?.size ?? 0;
  const read = images.get(part?.role ?? '');
  if (part === undefined || read === undefined) return undefined;
  const at = (block - part.first) * BLOCK;
  const head = Buffer.from(await read(at, Math.min(BLOCK, size - at))).toString('hex');
  // A section starts anywhere in its block, and an initrd may start with an uncompressed archive.
  const found = FORMS.find(([magic]) => head.startsWith(magic));
  return (
    found?.[1] ?? (path.startsWith('UKI ') ? FORMS.find(([m]) => m.length > 6 && head.includes(m))?.[1] : undefined)
  );
}
