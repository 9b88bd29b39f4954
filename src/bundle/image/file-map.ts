/** Maps the blocks of a release to files: those of an erofs or ext4 root image, and the sections of the UKI. */

import { UpdateError } from '../../errors.ts';
import { peSections } from '../../formats/pe.ts';
import { imageOf, type Manifest, rootOf } from '../manifest.ts';
import { BLOCK } from '../verity.ts';
import type { ReadBytes } from './erofs.ts';
import { isFile, isFolder, type Node, type RootTree, rootTree } from './root-tree.ts';
import { volumeOf } from './volume.ts';

/** A stretch of a file in the release's volume. */
export type MappedFile = Readonly<{ path: string; first: number; count: number }>;

/** `isComplete`: the files of the root image could be identified. */
export type FileMap = Readonly<{ files: readonly MappedFile[]; isComplete: boolean }>;

/** Maps a release; `read` returns bytes of an image. */
export async function mapFiles(
  manifest: Manifest,
  read: (role: 'root' | 'uki', offset: number, length: number) => Promise<Uint8Array>,
): Promise<FileMap> {
  const readRoot: ReadBytes = (offset, length) => read('root', offset, length);
  const tree = await rootTree(readRoot, rootOf(manifest).size);
  const files = tree === undefined ? [] : await filesIn(tree, rootOf(manifest).size);
  return { files: [...files, ...(await sectionFiles(manifest, read))], isComplete: tree !== undefined };
}

/** Every file with blocks of its own, under the first of its names. */
async function filesIn(tree: RootTree, size: number): Promise<MappedFile[]> {
  const files: MappedFile[] = [];
  const seen = new Set<number>([tree.root]);
  let left = size / SMALLEST_NAME;
  const open: { path: string; node: Node }[] = [{ path: '', node: await tree.node(tree.root) }];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    const names = await folder.node.names();
    left -= names.length + folder.node.extents.reduce((sum, { count }) => sum + count, 0);
    if (left < 0) throw crowded();
    for (const { name, inode } of names) {
      if (seen.has(inode)) continue;
      seen.add(inode);
      const path = `${folder.path}/${name}`;
      const node = await tree.node(inode);
      if (isFolder(node)) open.push({ path, node });
      if (isFile(node)) files.push(...node.extents.map(({ first, count }) => ({ path, first, count })));
    }
  }
  return files;
}

/** Bytes of a name with its entry: folders that claim more than fits must overlap, and would be read without end. */
const SMALLEST_NAME = 12;

const crowded = (): UpdateError =>
  new UpdateError(
    'image-mismatch',
    'The file system of the root image contradicts itself: it has more names than room.',
  );

/** The sections of a UKI, as if it were a folder. */
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
