/** The strict bundle reader: nothing is used before its digest is verified, and no byte of the file is skipped. */

import { hash } from 'node:crypto';
import { UpdateError } from '../errors.ts';
import type { Role, Sha256 } from '../model.ts';
import type { ByteSource } from './byte-source.ts';
import { type Cursor, createCursor } from './cursor.ts';
import type { CompressedFrame } from './decode/decode.ts';
import { type FrameTable, parseFrameTable, plainSizeOf } from './frames.ts';
import { type BundleEntry, bundleLayout, entryOf, type Layout, MANIFEST_NAME } from './layout.ts';
import {
  type Image,
  imageOf,
  MANIFEST_LIMIT,
  type Manifest,
  manifestDigest,
  parseManifest,
  tooLarge,
} from './manifest.ts';
import { TAR_BLOCK, TAR_END, tarHeader, tarPadding } from './tar.ts';

/** The repository's record of a manifest. */
export type ExpectedManifest = Readonly<{ sha256: Sha256; size: number }>;

/** An opened bundle with a verified manifest; the rest is verified as it is read. */
export interface Bundle {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly layout: Layout;
  /** The image with that role; throws if there is none. */
  image(role: Role): Image;
  /** Its frame table, verified together with the entry's header and padding. */
  frameTable(role: Role, signal: AbortSignal): Promise<FrameTable>;
  /**
   * Its frames from `fromFrame` (default 0) on, in order. The bytes of a frame are unverified input for `decodeFrame`, valid until the next
   * one. From frame 0, the entry's header is compared too; at the end the padding, and after the last entry the archive's end. With
   * `untilFrame`, stops before it and fetches nothing more.
   */
  compressedFrames(
    role: Role,
    table: FrameTable,
    signal: AbortSignal,
    fromFrame?: number,
    untilFrame?: number,
  ): AsyncIterable<CompressedFrame>;
}

/** Opens a bundle. With `expected`, the manifest's digest is verified before parsing. */
export async function openBundle(
  source: ByteSource,
  expected: ExpectedManifest | undefined,
  signal: AbortSignal,
): Promise<Bundle> {
  const manifestBytes = await readManifest(source, expected, signal);
  const manifest = parseManifest(manifestBytes);
  const layout = bundleLayout(manifestBytes.length, manifest);
  if (source.size !== layout.size)
    throw new UpdateError('bundle-size', `${source.name} has ${source.size} bytes; its manifest says ${layout.size}.`);
  return {
    manifest,
    manifestBytes,
    layout,
    image: (role) => imageIn(manifest, role),
    frameTable: (role, abort) => readFrameTable(source, layout, imageIn(manifest, role), abort),
    compressedFrames: (role, table, abort, from = 0, until = table.count) =>
      readFrames(source, layout, imageIn(manifest, role), table, { from, until }, abort),
  };
}

/** The digest of a bundle's manifest, without parsing it, to look up its signature. */
export async function manifestIdentity(source: ByteSource, signal: AbortSignal): Promise<ExpectedManifest> {
  const bytes = await readManifest(source, undefined, signal);
  return { sha256: manifestDigest(bytes), size: bytes.length };
}

function imageIn(manifest: Manifest, role: Role): Image {
  const image = imageOf(manifest, role);
  if (image === undefined) throw new UpdateError('bundle-entry', `The bundle has no ${role} image.`);
  return image;
}

async function readManifest(
  source: ByteSource,
  expected: ExpectedManifest | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (expected !== undefined && expected.size > MANIFEST_LIMIT) throw tooLarge(expected.size);
  if (source.size < TAR_BLOCK + TAR_END) throw notABundle(source, `it has only ${source.size} bytes`);
  const end = Math.min(source.size, TAR_BLOCK + paddedSize(expected?.size ?? MANIFEST_LIMIT));
  await using cursor = createCursor(source, 0, end, signal);
  const size = await manifestSize(cursor, source, expected);
  const bytes = await cursor.copy(size);
  const found = manifestDigest(bytes);
  if (expected !== undefined && found !== expected.sha256)
    throw new UpdateError(
      'manifest-mismatch',
      `The manifest of ${source.name} has SHA-256 ${found}, not ${expected.sha256}.`,
    );
  await expectZeros(cursor, tarPadding(size), source);
  return bytes;
}

/** The size in the first header, which must be exactly the header of such a manifest. */
async function manifestSize(cursor: Cursor, source: ByteSource, expected?: ExpectedManifest): Promise<number> {
  const header = await cursor.copy(TAR_BLOCK);
  const digits = new TextDecoder('latin1').decode(header.subarray(SIZE_FIELD, SIZE_FIELD + 11));
  const size = /^[0-7]{11}$/.test(digits) ? Number.parseInt(digits, 8) : 0;
  if (!same(header, await tarHeader(MANIFEST_NAME, size)))
    throw notABundle(source, `it does not begin with the entry ${MANIFEST_NAME}`);
  if (expected !== undefined && size !== expected.size)
    throw new UpdateError(
      'manifest-mismatch',
      `The manifest of ${source.name} has ${size} bytes, not ${expected.size}.`,
    );
  if (size > MANIFEST_LIMIT) throw tooLarge(size);
  if (TAR_BLOCK + size > source.size)
    throw new UpdateError('bundle-size', `${source.name} ends within its manifest of ${size} bytes.`);
  return size;
}

async function readFrameTable(
  source: ByteSource,
  layout: Layout,
  image: Image,
  signal: AbortSignal,
): Promise<FrameTable> {
  const entry = entryOf(layout, image.role, 'frames');
  await using cursor = createCursor(source, entry.header, entry.end, signal);
  await expectHeader(cursor, entry, source);
  const bytes = await cursor.copy(entry.size);
  const found = hash('sha256', bytes, 'hex');
  if (found !== image.frames.sha256)
    throw new UpdateError('frame-table-mismatch', `${entry.name} has SHA-256 ${found}, not ${image.frames.sha256}.`);
  await expectZeros(cursor, tarPadding(entry.size), source);
  return parseFrameTable(bytes, image, image.blob.size);
}

async function* readFrames(
  source: ByteSource,
  layout: Layout,
  image: Image,
  table: FrameTable,
  { from, until }: Readonly<{ from: number; until: number }>,
  signal: AbortSignal,
): AsyncGenerator<CompressedFrame> {
  const entry = entryOf(layout, image.role, 'blob');
  const last = layout.entries.at(-1) === entry;
  const isWhole = until === table.count;
  const start = from === 0 ? entry.header : entry.offset + (table.offsets[from] ?? entry.size);
  const end = isWhole ? (last ? layout.size : entry.end) : entry.offset + (table.offsets[until] ?? entry.size);
  await using cursor = createCursor(source, start, end, signal);
  if (from === 0) await expectHeader(cursor, entry, source);
  for (let index = from; index < until; index += 1) yield await nextFrame(cursor, image, table, index);
  if (isWhole) await expectZeros(cursor, tarPadding(entry.size) + (last ? TAR_END : 0), source);
}

async function nextFrame(cursor: Cursor, image: Image, table: FrameTable, index: number): Promise<CompressedFrame> {
  const length = (table.offsets[index + 1] ?? 0) - (table.offsets[index] ?? 0);
  return {
    index,
    offset: index * image.frameSize,
    plainSize: plainSizeOf(image, index),
    sha256: table.sha256(index),
    unchecked: await cursor.take(length),
  };
}

async function expectHeader(cursor: Cursor, entry: BundleEntry, source: ByteSource): Promise<void> {
  if (same(await cursor.take(TAR_BLOCK), await tarHeader(entry.name, entry.size))) return;
  throw new UpdateError(
    'bundle-entry',
    `${source.name} has something else than the plain entry ${entry.name} of ${entry.size} bytes at offset ${entry.header}.`,
  );
}

async function expectZeros(cursor: Cursor, count: number, source: ByteSource): Promise<void> {
  const at = cursor.offset;
  const bytes = await cursor.take(count);
  const found = bytes.findIndex((byte) => byte !== 0);
  if (found >= 0) throw new UpdateError('bundle-padding', `${source.name} has a hidden byte at offset ${at + found}.`);
}

const SIZE_FIELD = 124;

const paddedSize = (size: number): number => size + tarPadding(size);

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const notABundle = (source: ByteSource, why: string): UpdateError =>
  new UpdateError('bundle-format', `${source.name} is not a bundle: ${why} (offset 0).`);
