/** What must hold between the numbers of a manifest, beyond the shape of each. */

import { UpdateError } from '../errors.ts';
import { ROLES } from '../model.ts';
import { compressedBound, FRAME_ENTRY, frameCount, TABLE_LIMIT } from './frames.ts';
import type { Image, Manifest, Verity } from './manifest.ts';
import { BLOCK, treeLayout } from './verity.ts';

/** Sizes stay whole numbers in JavaScript whatever is added to them. */
export const MAX_SIZE = 2 ** 50;
/** The largest image. */
export const IMAGE_LIMIT = 64 * 2 ** 30;
/** FAT holds no larger file. */
const FILE_LIMIT = 4 * 2 ** 30 - 1;
/** What the eleven octal digits of a ustar header can say. */
export const ENTRY_LIMIT = 8 * 2 ** 30 - 1;

/** Throws when the manifest contradicts itself or the limits of the format. */
export function checkManifest(manifest: Manifest): void {
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
