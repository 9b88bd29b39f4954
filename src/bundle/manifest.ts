/** The manifest: describes a release, with the size and digest of everything in its bundle. */

import { hash } from 'node:crypto';
import { UpdateError } from '../errors.ts';
import { type Check, integer, list, literal, object, optional, parseDocument, text } from '../formats/shape.ts';
import {
  PRODUCT_PATTERN,
  type Product,
  ROLES,
  type Role,
  SHA256_PATTERN,
  type Sha256,
  VERSION_PATTERN,
  type Version,
} from '../model.ts';
import { compressedBound, FRAME_ENTRY, frameCount, TABLE_LIMIT } from './frames.ts';
import { BLOCK, treeLayout } from './verity.ts';

/** Small enough that sums of sizes stay exact integers in JavaScript. */
const MAX_SIZE = 2 ** 50;
/** The largest image. */
const IMAGE_LIMIT = 64 * 2 ** 30;
/** The largest file on FAT. */
const FILE_LIMIT = 4 * 2 ** 30 - 1;
/** The largest size in the eleven octal digits of a ustar header. */
export const ENTRY_LIMIT = 8 * 2 ** 30 - 1;

/** Size and digest of an entry of the bundle. */
export type Sealed = Readonly<{ size: number; sha256: Sha256 }>;

/** The kernel's verity parameters of the root image. `hashOffset` only if the tree is appended to the image. */
export type Verity = Readonly<{ rootHash: Sha256; salt: Sha256; dataBlocks: number; hashOffset?: number }>;

/** An image: `size` and `sha256` are of its plain bytes, which travel as independent frames of `frameSize` plain bytes. */
export type Image = Readonly<{
  role: Role;
  kind: 'partition' | 'file';
  size: number;
  sha256: Sha256;
  frameSize: number;
  frames: Sealed;
  blob: Sealed;
  verity?: Verity;
}>;

export type Architecture = 'x86-64' | 'arm64';

export type Manifest = Readonly<{
  schema: 1;
  product: Product;
  version: Version;
  counter: number;
  architecture: Architecture;
  minAgent: string;
  images: readonly Image[];
}>;

/** The largest accepted manifest, in bytes. */
export const MANIFEST_LIMIT = 1024 * 1024;

/** Parses a manifest; throws a specific error for every fault. */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_LIMIT) throw tooLarge(bytes.length);
  const manifest = parseDocument(bytes, MANIFEST_LIMIT, 'manifest-invalid', 'manifest', document);
  checkManifest(manifest);
  return manifest;
}

/** Encodes a manifest; deterministic. */
export function serializeManifest(manifest: Manifest): Uint8Array {
  checkManifest(manifest);
  return new TextEncoder().encode(`${JSON.stringify(document(manifest, 'manifest'), null, 1)}\n`);
}

/** The digest that identifies a release. */
export const manifestDigest = (bytes: Uint8Array): Sha256 => hash('sha256', bytes, 'hex') as Sha256;

/** The image with that role; undefined if there is none. */
export const imageOf = (manifest: Manifest, role: Role): Image | undefined =>
  manifest.images.find((image) => image.role === role);

/** The root image and its verity parameters; every manifest has both. */
export function rootOf(manifest: Manifest): Image & { verity: Verity } {
  const root = imageOf(manifest, 'root');
  if (root?.verity === undefined) throw new UpdateError('manifest-invalid', 'The manifest has no root image.');
  return { ...root, verity: root.verity };
}

export const tooLarge = (size: number): UpdateError =>
  new UpdateError('manifest-too-large', `The manifest has ${size} bytes; at most ${MANIFEST_LIMIT} are read.`);

const digest: Check<Sha256> = text<Sha256>(SHA256_PATTERN, '64 lower-case hex digits');
const sealed = object({ size: integer(1, MAX_SIZE), sha256: digest });

const verity = object({
  rootHash: digest,
  salt: digest,
  dataBlocks: integer(1),
  hashOffset: optional(integer(4096)),
});

const image = object({
  role: literal(...ROLES),
  kind: literal('partition', 'file'),
  size: integer(1, MAX_SIZE),
  sha256: digest,
  frameSize: integer(16 * 1024, 1024 * 1024),
  frames: sealed,
  blob: sealed,
  verity: optional(verity),
});

const document = object({
  schema: literal(1),
  product: text<Product>(PRODUCT_PATTERN),
  version: text<Version>(VERSION_PATTERN),
  counter: integer(1),
  architecture: literal('x86-64', 'arm64'),
  minAgent: text(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/, 'a version like 1.2.3'),
  images: list(image, ROLES.length),
});

/** Checks the relations between the numbers. Throws if the manifest contradicts itself or exceeds the format's limits. */
function checkManifest(manifest: Manifest): void {
  checkRoles(manifest.images);
  for (const image of manifest.images) checkImage(image);
  checkVerity(manifest.images);
}

function checkRoles(images: readonly Image[]): void {
  const places = images.map((image) => ROLES.indexOf(image.role));
  if (places.some((place, index) => index > 0 && place <= (places[index - 1] ?? -1)))
    throw bad(`its images are ${images.map((image) => image.role).join(', ')}; the order is ${ROLES.join(', ')}`);
  if (!images.some((image) => image.role === 'root')) throw bad('it has no root image');
}

function checkImage(image: Image): void {
  if (image.size > IMAGE_LIMIT) throw large(image, `has ${image.size} bytes; the limit is ${IMAGE_LIMIT} (64 GiB)`);
  if (image.blob.size > ENTRY_LIMIT)
    throw large(image, `is ${image.blob.size} bytes compressed; a bundle entry has at most ${ENTRY_LIMIT} (8 GiB - 1)`);
  if (image.role === 'uki' && image.size > FILE_LIMIT)
    throw large(image, `has ${image.size} bytes; a file on an ESP has at most ${FILE_LIMIT} (4 GiB - 1)`);
  const kind = image.role === 'uki' ? 'file' : 'partition';
  if (image.kind !== kind) throw bad(`the ${image.role} image must be a ${kind}`);
  if (kind === 'partition' && image.size % BLOCK !== 0)
    throw bad(`the ${image.role} image has ${image.size} bytes, not a multiple of ${BLOCK}`);
  checkFrames(image);
}

function checkFrames(image: Image): void {
  if (!Number.isInteger(Math.log2(image.frameSize)))
    throw bad(`the frame size ${image.frameSize} of the ${image.role} image is not a power of two`);
  const count = frameCount(image);
  if (image.frames.size !== count * FRAME_ENTRY)
    throw bad(
      `the ${image.role} image has ${count} frames, so its table has ${count * FRAME_ENTRY} bytes, not ${image.frames.size}`,
    );
  if (image.frames.size > TABLE_LIMIT)
    throw bad(`the frame table of the ${image.role} image has ${image.frames.size} bytes; the limit is ${TABLE_LIMIT}`);
  if (image.blob.size > count * compressedBound(image.frameSize))
    throw bad(`the ${image.role} image claims more compressed bytes than its frames can have`);
}

function checkVerity(images: readonly Image[]): void {
  const tree = images.find((image) => image.role === 'verity');
  for (const image of images) {
    if (image.role !== 'root' && image.verity !== undefined)
      throw bad(`the ${image.role} image must not have a verity tree of its own`);
    if (image.role === 'root') checkTree(image, image.verity, tree);
  }
}

function checkTree(root: Image, verity: Verity | undefined, tree: Image | undefined): void {
  if (verity === undefined) throw bad('the root image has no verity root hash');
  if (verity.dataBlocks > root.size / BLOCK) throw bad(`${verity.dataBlocks} data blocks do not fit the root image`);
  const size = treeLayout(verity.dataBlocks).size;
  if (verity.hashOffset === undefined) {
    if (verity.dataBlocks * BLOCK !== root.size)
      throw bad(`${verity.dataBlocks} data blocks are not the ${root.size} bytes of the root image`);
    if (tree?.size !== size) throw bad(`the verity image must have ${size} bytes, not ${tree?.size ?? 'be absent'}`);
    return;
  }
  if (tree !== undefined) throw bad('it has both a verity image and a tree inside the root image');
  if (verity.hashOffset % BLOCK !== 0 || verity.hashOffset < verity.dataBlocks * BLOCK)
    throw bad(`the tree offset ${verity.hashOffset} is not a block after the data`);
  if (verity.hashOffset + size > root.size) throw bad('the verity tree reaches past the end of the root image');
}

const bad = (what: string): UpdateError => new UpdateError('manifest-invalid', `The manifest is wrong: ${what}.`);

const large = (image: Image, what: string): UpdateError =>
  new UpdateError('image-too-large', `The ${image.role} image ${what}.`);
