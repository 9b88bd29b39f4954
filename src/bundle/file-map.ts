/** Which file of a release owns which block: the files of an erofs root image, and the sections of the UKI. */

import { peSections } from '../system/pe.ts';
import {
  blocksOf,
  type ErofsImage,
  type ErofsInode,
  parseErofs,
  type ReadBytes,
  readFolder,
  readInode,
  SUPERBLOCK,
} from './erofs-image.ts';
import { imageOf, type Manifest, rootOf } from './manifest.ts';
import { BLOCK } from './verity.ts';
import { volumeOf } from './volume.ts';

/** A file in the volume of its release. */
export type MappedFile = Readonly<{ path: string; first: number; count: number }>;

/** `isComplete` says whether the files of the root image could be told apart. */
export type FileMap = Readonly<{ files: readonly MappedFile[]; isComplete: boolean }>;

/** Maps a release; `read` gives bytes of an image. */
export async function mapFiles(
  manifest: Manifest,
  read: (role: 'root' | 'uki', offset: number, length: number) => Promise<Uint8Array>,
): Promise<FileMap> {
  const readRoot: ReadBytes = (offset, length) => read('root', offset, length);
  const { size } = rootOf(manifest);
  const found = size >= BLOCK ? parseErofs(await readRoot(SUPERBLOCK, 128)) : undefined;
  const erofs = found && found.blocks * BLOCK <= size ? found : undefined;
  const files = erofs === undefined ? [] : await erofsFiles(readRoot, erofs);
  return { files: [...files, ...(await sectionFiles(manifest, read))], isComplete: erofs !== undefined };
}

/** Every file with blocks of its own, each under the first of its names. */
async function erofsFiles(read: ReadBytes, image: ErofsImage): Promise<MappedFile[]> {
  const files: MappedFile[] = [];
  const seen = new Set<number>([image.root]);
  const open: { path: string; inode: ErofsInode }[] = [{ path: '', inode: await readInode(read, image, image.root) }];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    for (const { name, inode: number } of await readFolder(read, image, folder.inode)) {
      if (seen.has(number)) continue;
      seen.add(number);
      const path = `${folder.path}/${name}`;
      const inode = await readInode(read, image, number);
      if (isFolder(inode)) open.push({ path, inode });
      const count = blocksOf(inode);
      if (isFile(inode) && count > 0 && inode.first + count <= image.blocks)
        files.push({ path, first: inode.first, count });
    }
  }
  return files;
}

const FILE_TYPE = 0o170000;
const isFolder = ({ mode }: ErofsInode): boolean => (mode & FILE_TYPE) === 0o040000;
const isFile = ({ mode }: ErofsInode): boolean => (mode & FILE_TYPE) === 0o100000;

/** What a UKI consists of, as if it were a folder. */
async function sectionFiles(
  manifest: Manifest,
  read: (role: 'uki', offset: number, length: number) => Promise<Uint8Array>,
): Promise<MappedFile[]> {
  const uki = imageOf(manifest, 'uki');
  const part = volumeOf(manifest).parts.find(({ role }) => role === 'uki');
  if (uki === undefined || part === undefined) return [];
  const head = await read('uki', 0, Math.min(uki.size, 64 * 1024));
  return peSections(head, uki.size)
    .filter(({ size }) => size > 0)
    .map(({ name, offset, size }) => {
      const first = Math.floor(offset / BLOCK);
      return { path: `UKI ${name}`, first: part.first + first, count: Math.ceil((offset + size) / BLOCK) - first };
    })
    .sort((one, other) => one.first - other.first);
}
