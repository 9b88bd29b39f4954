/** The manifest: what a release is and the size and digest of everything that its bundle holds. */

import { hash } from 'node:crypto';
import { UpdateError } from '../errors.ts';
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
import { type Check, integer, list, literal, object, optional, parseDocument, text } from '../system/shape.ts';
import { checkManifest, MAX_SIZE } from './manifest-rules.ts';

/** Size and digest of one entry of the bundle. */
export type Sealed = Readonly<{ size: number; sha256: Sha256 }>;

/** How the kernel checks the root image. `hashOffset` only where the tree is appended to the image itself. */
export type Verity = Readonly<{ rootHash: Sha256; salt: Sha256; dataBlocks: number; hashOffset?: number }>;

/** One image: `size` and `sha256` are those of its plain bytes, which travel as independent frames of `frameSize` plain bytes. */
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

/** More than this is never read as a manifest. */
export const MANIFEST_LIMIT = 1024 * 1024;

/** The manifest in these bytes; every fault is named. */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_LIMIT) throw tooLarge(bytes.length);
  const manifest = parseDocument(bytes, MANIFEST_LIMIT, 'manifest-invalid', 'manifest', document);
  checkManifest(manifest);
  return manifest;
}

/** The bytes of a manifest, keys always in the same order. */
export function serializeManifest(manifest: Manifest): Uint8Array {
  checkManifest(manifest);
  return new TextEncoder().encode(`${JSON.stringify(document(manifest, 'manifest'), null, 1)}\n`);
}

/** The digest by which a release is known. */
export const manifestDigest = (bytes: Uint8Array): Sha256 => hash('sha256', bytes, 'hex') as Sha256;

/** The image with that role. */
export const imageOf = (manifest: Manifest, role: Role): Image | undefined =>
  manifest.images.find((image) => image.role === role);

/** The root image and how it is checked: every manifest has both. */
export function rootOf(manifest: Manifest): Image & { verity: Verity } {
  const root = imageOf(manifest, 'root');
  if (root?.verity === undefined) throw new UpdateError('manifest-invalid', 'The manifest has no root image.');
  return { ...root, verity: root.verity };
}

/** The refusal of a manifest of that size. */
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
