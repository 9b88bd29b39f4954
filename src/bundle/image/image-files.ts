/** Reads single files of an erofs or ext4 image by their paths, as the system in it would see them. */

import { UpdateError } from '../../errors.ts';
import { BLOCK } from '../verity.ts';
import type { ReadBytes } from './erofs.ts';
import { isFile, isFolder, isLink, type Node, type RootTree, rootTree } from './root-tree.ts';

/** Absent files and folders are undefined and empty. */
export type ImageFiles = Readonly<{
  read(path: string, most?: number): Promise<Uint8Array | undefined>;
  list(dir: string): Promise<string[]>;
}>;

/** Undefined if the files of this file system cannot be identified. */
export async function imageFiles(read: ReadBytes, size: number): Promise<ImageFiles | undefined> {
  const tree = await rootTree(read, size);
  if (!tree) return undefined;
  const nodeAt = (path: string): Promise<Node | undefined> => find({ read, size, tree }, path, { hops: 0 });
  return {
    read: async (path, most = MOST_BYTES) => {
      const node = await nodeAt(path);
      return node && isFile(node) ? content({ read, size, tree }, node, most) : undefined;
    },
    list: async (dir) => {
      const node = await nodeAt(dir);
      return node && isFolder(node) ? (await node.names()).map(({ name }) => name).sort() : [];
    },
  };
}

type Image = Readonly<{ read: ReadBytes; size: number; tree: RootTree }>;

const MOST_BYTES = 1024 * 1024;
/** As in Linux. */
const MOST_LINKS = 40;

async function find(image: Image, path: string, links: { hops: number }): Promise<Node | undefined> {
  let trail: Node[] = [await image.tree.node(image.tree.root)];
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  for (const [index, name] of names.entries()) {
    const folder = trail.at(-1);
    if (!folder || !isFolder(folder)) return undefined;
    if (name === '..') {
      trail = trail.length > 1 ? trail.slice(0, -1) : trail;
      continue;
    }
    const found = (await folder.names()).find((one) => one.name === name);
    if (!found) return undefined;
    const node = await image.tree.node(found.inode);
    if (!isLink(node)) trail.push(node);
    else return follow(image, node, names.slice(0, index), names.slice(index + 1), links);
  }
  return trail.at(-1);
}

/** A link leads on from its folder, or from the root of the image. */
async function follow(
  image: Image,
  link: Node,
  before: readonly string[],
  after: readonly string[],
  links: { hops: number },
): Promise<Node | undefined> {
  links.hops += 1;
  if (links.hops > MOST_LINKS) return undefined;
  const target = new TextDecoder().decode(await content(image, link, BLOCK));
  const start = target.startsWith('/') ? [] : before;
  return find(image, [...start, target, ...after].join('/'), links);
}

async function content({ read, size }: Image, node: Node, most: number): Promise<Uint8Array> {
  if (node.size > most) throw new UpdateError('image-mismatch', `A file of the image has ${node.size} bytes.`);
  if (node.inline) return node.inline;
  const pieces: Uint8Array[] = [];
  let left = node.size;
  const take = async (offset: number, length: number): Promise<void> => {
    if (offset + length > size) throw new UpdateError('image-mismatch', 'A file of the image is outside of it.');
    pieces.push(await read(offset, length));
    left -= length;
  };
  for (const { first, count } of node.extents) if (left > 0) await take(first * BLOCK, Math.min(left, count * BLOCK));
  if (node.tail !== undefined && left > 0 && left < BLOCK) await take(node.tail, left);
  if (left > 0) throw new UpdateError('image-mismatch', 'A file of the image has fewer blocks than bytes.');
  return Buffer.concat(pieces);
}
