/** The files of an erofs or ext4 image by their paths, as the system in it would see them. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import { kindOfMode } from '../../formats/file-kind.ts';
import { type FileTree, fileTree, type TreeNode } from '../../system/disk/file-tree.ts';
import { BLOCK } from '../verity.ts';
import type { ReadBytes } from './erofs.ts';
import { type Node, type RootTree, rootTree } from './root-tree.ts';

/** Undefined if the files of this file system cannot be identified. Throws `image-mismatch` where it contradicts itself. */
export async function imageTree(read: ReadBytes, size: number): Promise<FileTree | undefined> {
  const root = await rootTree(read, size);
  if (!root) return undefined;
  const { node, names } = remembering(root);
  const image: Image = { read, size };
  return fileTree<number>({
    root: root.root,
    child: async (folder, name) => (await names(folder)).get(name),
    node: async (inode) => described(await node(inode)),
    names: async (folder) => [...(await names(folder)).keys()],
    target: async (link) => new TextDecoder().decode(await contentOf(image, await node(link), 0, BLOCK)),
    read: async (file, offset, length) => contentOf(image, await node(file), offset, length),
  });
}

/** Absent files and folders, and whatever is neither, are undefined and empty. */
export type ImageFiles = Readonly<{
  read(path: string, most?: number): Promise<Uint8Array | undefined>;
  list(dir: string): Promise<string[]>;
}>;

/** The same for readers of a few regular files. */
export async function imageFiles(read: ReadBytes, size: number): Promise<ImageFiles | undefined> {
  const tree = await imageTree(read, size);
  return (
    tree && {
      list: tree.list,
      read: async (path, most) =>
        (await tree.find(path))?.kind === 'file' ? await tree.read(path, most).catch(asMismatch) : undefined,
    }
  );
}

type Image = Readonly<{ read: ReadBytes; size: number }>;

/** Folders are looked up again and again. */
function remembering({ node }: RootTree) {
  const nodes = new Map<number, Promise<Node>>();
  const folders = new Map<number, Promise<ReadonlyMap<string, number>>>();
  const nodeOf = (inode: number): Promise<Node> => kept(nodes, inode, () => node(inode));
  const names = (inode: number): Promise<ReadonlyMap<string, number>> =>
    kept(
      folders,
      inode,
      async () => new Map((await (await nodeOf(inode)).names()).map((one) => [one.name, one.inode] as const)),
    );
  return { node: nodeOf, names };
}

function kept<T>(all: Map<number, Promise<T>>, key: number, make: () => Promise<T>): Promise<T> {
  const found = all.get(key) ?? make();
  if (all.size >= MOST_KEPT) all.clear();
  all.set(key, found);
  return found;
}

const MOST_KEPT = 4096;

function described({ mode, size }: Node): TreeNode {
  return { kind: kindOfMode(mode) ?? 'socket', size, mode, device: 0 };
}

/** Part of a file; what no block holds is zeros. */
async function contentOf(image: Image, node: Node, offset: number, length: number): Promise<Uint8Array> {
  const end = Math.min(node.size, offset + length);
  if (node.inline) return node.inline.subarray(offset, end);
  if (node.isLost) throw outside();
  const bytes = new Uint8Array(Math.max(0, end - offset));
  for (const { at, start, size } of stretchesOf(node)) {
    const [from, to] = [Math.max(offset, at), Math.min(end, at + size)];
    if (from >= to) continue;
    if (start + to - at > image.size) throw outside();
    bytes.set(await image.read(start + from - at, to - from), from - offset);
  }
  return bytes;
}

/** Bytes of a file that are in one place of the image, and where they start in the file. */
type Stretch = Readonly<{ at: number; start: number; size: number }>;

function stretchesOf({ extents, tail, size }: Node): readonly Stretch[] {
  const blocks = extents
    .filter(({ isWritten }) => isWritten)
    .map(({ at, first, count }) => ({ at: at * BLOCK, start: first * BLOCK, size: count * BLOCK }));
  const last = size - (size % BLOCK);
  return tail === undefined || last === size ? blocks : [...blocks, { at: last, start: tail, size: size - last }];
}

const outside = (): UpdateError => new UpdateError('image-mismatch', 'A file of the image is outside of it.');

function asMismatch(error: unknown): never {
  const { code, message } = asUpdateError(error);
  throw code === 'source-unreadable' ? new UpdateError('image-mismatch', message) : error;
}
