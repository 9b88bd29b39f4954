/** The file system of a root image: erofs or ext4, as far as its files can be identified. */

import { kindOfMode } from '../../formats/file-kind.ts';
import { BLOCK } from '../verity.ts';
import { blocksOf, parseErofs, type ReadBytes, readFolder, readInode, SUPERBLOCK } from './erofs.ts';
import { EXT4_ROOT, parseExt4, readExt4Folder, readExt4Inode } from './ext4.ts';
import type { PlacedExtent } from './volume.ts';

/**
 * A file, folder or link. `extents`: its blocks, without holes. `tail`: where the end of its content is that fills no block. `inline`: the
 * text of a short link in ext4. `isLost`: its blocks are not in the image.
 */
export type Node = Readonly<{
  mode: number;
  size: number;
  extents: readonly PlacedExtent[];
  tail?: number;
  inline?: Uint8Array;
  isLost?: true;
  names(): Promise<readonly Name[]>;
}>;
export type Name = Readonly<{ name: string; inode: number }>;
export type RootTree = Readonly<{ root: number; node(inode: number): Promise<Node> }>;

/** Undefined for other file systems, and for variants that are not made by default. */
export async function rootTree(read: ReadBytes, size: number): Promise<RootTree | undefined> {
  if (size < BLOCK) return undefined;
  const superblock = await read(SUPERBLOCK, 1024);
  const isWhole = ({ blocks }: Readonly<{ blocks: number }>): boolean => blocks * BLOCK <= size;
  const erofs = parseErofs(superblock);
  if (erofs && isWhole(erofs))
    return {
      root: erofs.root,
      node: async (inode) => {
        const node = await readInode(read, erofs, inode);
        const [first, count] = [node.first, blocksOf(node)];
        const isLost = node.size > 0 && (first < 0 || (count > 0 && first + count > erofs.blocks));
        const extents = count > 0 && !isLost ? [{ first, count, at: 0, isWritten: true }] : [];
        const tail = node.inlineAt === undefined ? {} : { tail: node.inlineAt };
        const lost = isLost ? { isLost: true as const } : {};
        return {
          mode: node.mode,
          size: node.size,
          extents,
          ...tail,
          ...lost,
          names: () => readFolder(read, erofs, node),
        };
      },
    };
  const ext4 = parseExt4(superblock);
  if (!ext4 || !isWhole(ext4)) return undefined;
  return {
    root: EXT4_ROOT,
    node: async (inode) => {
      const node = await readExt4Inode(read, ext4, inode);
      return { ...node, names: () => readExt4Folder(read, ext4, node) };
    },
  };
}

/** When the file system was made, in seconds since 1970; undefined for other file systems. */
export async function timeOfFileSystem(read: ReadBytes, size: number): Promise<number | undefined> {
  if (size < BLOCK) return undefined;
  const superblock = await read(SUPERBLOCK, 1024);
  const view = new DataView(superblock.buffer, superblock.byteOffset, superblock.byteLength);
  if (parseErofs(superblock)) return Number(view.getBigUint64(24, true));
  return parseExt4(superblock) ? view.getUint32(0x108, true) : undefined;
}

export const isFolder = ({ mode }: Node): boolean => kindOfMode(mode) === 'folder';
export const isFile = ({ mode }: Node): boolean => kindOfMode(mode) === 'file';
export const isLink = ({ mode }: Node): boolean => kindOfMode(mode) === 'link';
