/** Reads erofs images: the inodes, and as much of the format as is needed to know which file owns a block. */

import { UpdateError } from '../../errors.ts';
import { BLOCK } from '../verity.ts';

/** Reads bytes of an image at any offset. */
export type ReadBytes = (offset: number, length: number) => Promise<Uint8Array>;

export type ErofsImage = Readonly<{ root: number; metadata: number; inodes: number; blocks: number }>;

/** `first`: the start of its consecutive whole blocks; -1 if they are not consecutive. */
export type ErofsInode = Readonly<{ mode: number; size: number; first: number; inlineAt: number | undefined }>;

/** `name` in a folder, and its inode. */
export type ErofsName = Readonly<{ name: string; inode: number }>;

/** The superblock's fields; undefined for other file systems, compressed and chunked erofs, and newer variants. */
export function parseErofs(superblock: Uint8Array): ErofsImage | undefined {
  const view = viewOf(superblock);
  if (superblock.length < 128 || view.getUint32(0, true) !== MAGIC || view.getUint8(12) !== BLOCK_BITS)
    return undefined;
  if ((view.getUint32(80, true) & ~KNOWN_FEATURES) !== 0 || view.getUint8(90) !== 0) return undefined;
  return {
    root: view.getUint16(14, true),
    inodes: Number(view.getBigUint64(16, true)),
    blocks: view.getUint32(36, true),
    metadata: view.getUint32(40, true) * BLOCK,
  };
}

/** Why deltas would save little for an image that starts like this; undefined if nothing suggests so. */
export function compressedForm(head: Uint8Array): 'squashfs' | 'compressed erofs' | undefined {
  if (head.length < SUPERBLOCK + 128) return undefined;
  const view = viewOf(head);
  if (view.getUint32(0, true) === SQUASHFS_MAGIC) return 'squashfs';
  const isErofs = view.getUint32(SUPERBLOCK, true) === MAGIC;
  return isErofs && (view.getUint32(SUPERBLOCK + 80, true) & COMPRESSING) !== 0 ? 'compressed erofs' : undefined;
}

/** The offset of the erofs superblock. */
export const SUPERBLOCK = 1024;

/** One inode. */
export async function readInode(read: ReadBytes, image: ErofsImage, number: number): Promise<ErofsInode> {
  const at = image.metadata + number * INODE_UNIT;
  const length = Math.min(2 * INODE_UNIT, image.blocks * BLOCK - at);
  if (length < INODE_UNIT) throw wrong(`inode ${number} lies outside of it`);
  const view = viewOf(await read(at, length));
  const format = view.getUint16(0, true);
  const isLong = (format & 1) === 1;
  const size = isLong ? Number(view.getBigUint64(8, true)) : view.getUint32(8, true);
  const layout = (format >> 1) & 7;
  const attributes = view.getUint16(2, true);
  const inode = at + (isLong ? 64 : 32) + (attributes === 0 ? 0 : 12 + (attributes - 1) * 4);
  return {
    mode: view.getUint16(4, true),
    size,
    first: layout === PLAIN || layout === INLINE ? view.getUint32(16, true) : -1,
    inlineAt: layout === INLINE ? inode : undefined,
  };
}

/** Whole blocks of an inode. */
export const blocksOf = ({ size, first, inlineAt }: ErofsInode): number =>
  first < 0 ? 0 : inlineAt === undefined ? Math.ceil(size / BLOCK) : Math.floor(size / BLOCK);

/** The names in a folder, without `.` and `..`. */
export async function readFolder(read: ReadBytes, image: ErofsImage, folder: ErofsInode): Promise<ErofsName[]> {
  if (folder.size > FOLDER_LIMIT) throw wrong(`a folder has ${folder.size} bytes`);
  const names: ErofsName[] = [];
  const whole = blocksOf(folder);
  if (folder.first < 0 || (whole > 0 && folder.first + whole > image.blocks))
    throw wrong('a folder lies outside of it');
  for (let done = 0; done < folder.size; done += BLOCK) {
    const at = done / BLOCK < whole ? folder.first * BLOCK + done : (folder.inlineAt ?? 0);
    const length = Math.min(BLOCK, folder.size - done);
    if (at + length > image.blocks * BLOCK) throw wrong('a folder lies outside of it');
    names.push(...namesIn(await read(at, length)));
  }
  return names.filter(({ name }) => name !== '.' && name !== '..');
}

const MAGIC = 0xe0f5e1e2;
const SQUASHFS_MAGIC = 0x73717368;
const BLOCK_BITS = 12;
const COMPRESSING = 0x33;
/** Only prefixes of extended attributes: with any other feature, a file's data may not be a single stretch of this image. */
const KNOWN_FEATURES = 0x40;
const INODE_UNIT = 32;
const PLAIN = 0;
const INLINE = 2;
const FOLDER_LIMIT = 64 * 1024 * 1024;
const DIRENT = 12;

/** A folder block: fixed entries, then the names they point to. */
function namesIn(block: Uint8Array): ErofsName[] {
  const view = viewOf(block);
  const end = block.length < DIRENT ? 0 : view.getUint16(8, true);
  if (end === 0 || end % DIRENT !== 0 || end > block.length) throw wrong('a folder has no entries');
  return Array.from({ length: end / DIRENT }, (_, index) => {
    const from = view.getUint16(index * DIRENT + 8, true);
    const to = (index + 1) * DIRENT < end ? view.getUint16((index + 1) * DIRENT + 8, true) : block.length;
    if (from >= to || to > block.length) throw wrong('a name in a folder is cut off');
    const [name = ''] = new TextDecoder().decode(block.subarray(from, to)).split('\0', 1);
    return { name, inode: Number(view.getBigUint64(index * DIRENT, true)) };
  });
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const wrong = (what: string): UpdateError =>
  new UpdateError('image-mismatch', `The file system of the root image contradicts itself: ${what}.`);
