/** Reads ext4 images: as much of the format as is needed to know which file owns a block. */

import { UpdateError } from '../../errors.ts';
import { BLOCK } from '../verity.ts';
import type { ReadBytes } from './erofs.ts';
import type { PlacedExtent } from './volume.ts';

export type Ext4Image = Readonly<{
  blocks: number;
  inodes: number;
  inodesPerGroup: number;
  inodeSize: number;
  descriptorSize: number;
}>;

/** `inline`: the text of a short link, which is in the inode itself. */
export type Ext4Inode = Readonly<{ mode: number; size: number; extents: readonly PlacedExtent[]; inline?: Uint8Array }>;

/** The superblock's fields; undefined for other file systems, and for variants of ext4 that `mke2fs` does not make by default. */
export function parseExt4(superblock: Uint8Array): Ext4Image | undefined {
  const view = viewOf(superblock);
  if (superblock.length < 1024 || view.getUint16(0x38, true) !== MAGIC || view.getUint32(0x18, true) !== BLOCK_LOG)
    return undefined;
  const features = view.getUint32(0x60, true);
  if ((features & UNKNOWN_FEATURES) !== 0 || (features & WITH_EXTENTS) === 0) return undefined;
  const image = {
    inodes: view.getUint32(0, true),
    blocks: view.getUint32(4, true),
    inodesPerGroup: view.getUint32(0x28, true),
    inodeSize: view.getUint16(0x58, true),
    descriptorSize: (features & WIDE) === 0 ? 32 : view.getUint16(0xfe, true),
  };
  return image.inodesPerGroup > 0 && image.inodeSize >= 128 && image.descriptorSize >= 32 ? image : undefined;
}

/** The root inode. */
export const EXT4_ROOT = 2;

/** An inode with its blocks. */
export async function readExt4Inode(read: ReadBytes, image: Ext4Image, number: number): Promise<Ext4Inode> {
  if (number < 1 || number > image.inodes) throw wrong(`there is no inode ${number}`);
  const group = Math.floor((number - 1) / image.inodesPerGroup);
  const descriptor = viewOf(await within(read, image, BLOCK + group * image.descriptorSize, 32));
  const table = descriptor.getUint32(8, true) * BLOCK;
  const at = table + ((number - 1) % image.inodesPerGroup) * image.inodeSize;
  const inode = await within(read, image, at, 128);
  const view = viewOf(inode);
  const hasExtents = (view.getUint32(0x20, true) & EXTENTS_FLAG) !== 0;
  const size = view.getUint32(4, true) + view.getUint32(0x6c, true) * 2 ** 32;
  const place = inode.subarray(0x28, 0x64);
  return {
    mode: view.getUint16(0, true),
    size,
    extents: hasExtents ? await extentsIn(read, image, place) : [],
    ...(!hasExtents && size < place.length ? { inline: place.slice(0, size) } : {}),
  };
}

/** The names in a folder with their inodes, without `.` and `..`. */
export async function readExt4Folder(
  read: ReadBytes,
  image: Ext4Image,
  { extents }: Ext4Inode,
): Promise<{ name: string; inode: number }[]> {
  const size = extents.reduce((sum, { count }) => sum + count, 0);
  if (size > FOLDER_LIMIT) throw wrong(`a folder has ${size} blocks`);
  const names: { name: string; inode: number }[] = [];
  for (const { first, count } of extents)
    for (let block = first; block < first + count; block += 1)
      names.push(...namesIn(await within(read, image, block * BLOCK, BLOCK)));
  return names.filter(({ name }) => name !== '.' && name !== '..');
}

const MAGIC = 0xef53;
const BLOCK_LOG = 2;
const WITH_EXTENTS = 0x40;
const WIDE = 0x80;
/**
 * All features except file types, a journal to be replayed (without it, files may be a moment older), extents, 64 bit, flexible groups, large
 * folders and checksum seed.
 */
const UNKNOWN_FEATURES = ~(0x2 | 0x4 | WITH_EXTENTS | WIDE | 0x200 | 0x2000 | 0x4000);
const EXTENTS_FLAG = 0x80000;
const EXTENT_MAGIC = 0xf30a;
const FOLDER_LIMIT = 16 * 1024;

/** `seen`: the blocks of the tree so far; a block that appears twice would be an endless loop. */
async function extentsIn(
  read: ReadBytes,
  image: Ext4Image,
  node: Uint8Array,
  seen: Set<number> = new Set(),
): Promise<PlacedExtent[]> {
  const view = viewOf(node);
  const count = view.getUint16(2, true);
  if (view.getUint16(0, true) !== EXTENT_MAGIC || 12 + count * 12 > node.length)
    throw wrong('a tree of extents is damaged');
  const isLeaf = view.getUint16(6, true) === 0;
  const extents: PlacedExtent[] = [];
  for (let at = 12; at < 12 + count * 12; at += 12)
    if (isLeaf) extents.push(extentAt(view, at, image));
    else extents.push(...(await childAt(read, image, view.getUint32(at + 4, true), seen)));
  return extents;
}

async function childAt(read: ReadBytes, image: Ext4Image, block: number, seen: Set<number>): Promise<PlacedExtent[]> {
  if (seen.has(block) || seen.size > TREE_LIMIT) throw wrong('a tree of extents meets itself');
  seen.add(block);
  return extentsIn(read, image, await within(read, image, block * BLOCK, BLOCK), seen);
}

/** The most blocks in a file's extent tree; each has up to 340 extents. */
const TREE_LIMIT = 200;

function extentAt(view: DataView, at: number, image: Ext4Image): PlacedExtent {
  const [first, length] = [view.getUint32(at + 8, true), view.getUint16(at + 4, true)];
  // A greater length marks allocated but unwritten blocks.
  const count = length > 32768 ? length - 32768 : length;
  if (first + count > image.blocks) throw wrong('a file lies outside of it');
  return { first, count, at: view.getUint32(at, true), isWritten: length <= 32768 };
}

/** A folder block; its index blocks look like a single unused entry. */
function namesIn(block: Uint8Array): { name: string; inode: number }[] {
  const view = viewOf(block);
  const names: { name: string; inode: number }[] = [];
  for (let at = 0; at + 8 <= block.length; ) {
    const [inode, length, size] = [view.getUint32(at, true), view.getUint16(at + 4, true), view.getUint8(at + 6)];
    if (length < 8 || at + 8 + size > block.length) throw wrong('a folder is damaged');
    if (inode !== 0) names.push({ name: new TextDecoder().decode(block.subarray(at + 8, at + 8 + size)), inode });
    at += length;
  }
  return names;
}

function within(read: ReadBytes, { blocks }: Ext4Image, offset: number, length: number): Promise<Uint8Array> {
  if (offset + length > blocks * BLOCK) throw wrong(`byte ${offset} lies outside of it`);
  return read(offset, length);
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const wrong = (what: string): UpdateError =>
  new UpdateError('image-mismatch', `The file system of the root image contradicts itself: ${what}.`);
