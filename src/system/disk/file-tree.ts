/** Looks up paths in a file tree that is not this system's own: neither links nor `..` lead out of it. */

import { UpdateError } from '../../errors.ts';
import type { TreeEntry } from './tree-walk.ts';

/** `device`: the number of a device node. */
export type TreeNode = Readonly<Pick<TreeEntry, 'kind' | 'size' | 'mode'> & { device: number }>;

/** Where the nodes of a tree come from: a folder, an image, an archive. A handle names one node, and is never a path with links. */
export interface NodeSource<Handle> {
  readonly root: Handle;
  /** A name in a folder; undefined if there is none. */
  child(folder: Handle, name: string): Promise<Handle | undefined>;
  node(handle: Handle): Promise<TreeNode>;
  names(folder: Handle): Promise<readonly string[]>;
  target(link: Handle): Promise<string>;
  /** Bytes of a regular file, fewer at its end. */
  read(file: Handle, offset: number, length: number): Promise<Uint8Array>;
}

/** The tree as its own system would see it, before anything is mounted. Paths are absolute. */
export interface FileTree {
  /** Where the path leads; undefined if it leads nowhere. */
  find(path: string): Promise<TreeNode | undefined>;
  /** The entry itself, even if it is a link; then with its target. */
  entry(path: string): Promise<(TreeNode & Readonly<{ target?: string }>) | undefined>;
  /** The sorted names in a folder; an absent folder is empty. */
  list(dir: string): Promise<string[]>;
  /** The content of a regular file; undefined if it is absent or masked by a link to /dev/null; throws for anything else, and if it is larger than `most`. */
  read(path: string, most?: number): Promise<Uint8Array | undefined>;
  /** The first bytes of a regular file; undefined if it is absent; throws for anything else. */
  readHead(path: string, most: number): Promise<Uint8Array | undefined>;
  readPart(
    path: string,
    offset: number,
    length: number,
  ): Promise<Readonly<{ bytes: Uint8Array; size: number }> | undefined>;
}

export function fileTree<Handle>(source: NodeSource<Handle>): FileTree {
  const find = (path: string, isLast = true): Promise<Found<Handle> | undefined> => lookUp(source, path, isLast);
  const readPart: FileTree['readPart'] = async (path, offset, length) => {
    const found = await find(path);
    if (!found) return undefined;
    const { kind, size } = found.node;
    if (kind !== 'file') throw notAFile(path, kind);
    const wanted = Math.max(0, Math.min(length, size - offset));
    return { bytes: await source.read(found.handle, offset, wanted), size };
  };
  return {
    find: async (path) => (await find(path))?.node,
    entry: async (path) => {
      const found = await find(path, false);
      return (
        found &&
        (found.node.kind === 'link' ? { ...found.node, target: await source.target(found.handle) } : found.node)
      );
    },
    list: async (dir) => {
      const found = await find(dir);
      return found?.node.kind === 'folder' ? [...(await source.names(found.handle))].sort() : [];
    },
    read: async (path, most = MOST_BYTES) => {
      if ((await find(path))?.node === NULL) return undefined;
      const part = await readPart(path, 0, most + 1);
      if (part && part.size > most) throw tooLarge(path, part.size, most);
      return part?.bytes;
    },
    readHead: async (path, most) => (await readPart(path, 0, most))?.bytes,
    readPart,
  };
}

/** Whether a link masks something: the system in the tree has /dev/null, even if the tree has not. */
export const isNull = (node: TreeNode | undefined): boolean => node === NULL;

/** The size of a file that the caller does not bound. */
const MOST_BYTES = 1024 * 1024;
/** As many links as Linux follows in one path. */
const MOST_LINKS = 40;

const NULL: TreeNode = { kind: 'character device', size: 0, mode: 0o666, device: 0x103 };

type Found<Handle> = Readonly<{ handle: Handle; node: TreeNode }>;

/** Walks down name by name, like the kernel after `chroot`. A link in the last place is followed only if `follows`. */
async function lookUp<Handle>(
  source: NodeSource<Handle>,
  path: string,
  follows: boolean,
): Promise<Found<Handle> | undefined> {
  const top = { handle: source.root, node: await source.node(source.root) };
  const open = namesOf(path);
  let trail: Found<Handle>[] = [];
  let links = 0;
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const folder = trail.at(-1) ?? top;
    // The kernel populates /dev, so that few trees have this device.
    if (trail.length === 0 && name === 'dev' && open.join() === 'null') return { handle: folder.handle, node: NULL };
    if (folder.node.kind !== 'folder') return undefined;
    if (name === '..') {
      trail.pop();
      continue;
    }
    const handle = await source.child(folder.handle, name);
    if (handle === undefined) return undefined;
    const node = await source.node(handle);
    if (node.kind !== 'link' || (open.length === 0 && !follows)) {
      trail.push({ handle, node });
      continue;
    }
    links += 1;
    const target = await source.target(handle);
    if (links > MOST_LINKS || target.length > LONGEST_PATH) return undefined;
    if (target.startsWith('/')) trail = [];
    open.push(...namesOf(target));
  }
  return trail.at(-1) ?? top;
}

/** The kernel's limit. */
const LONGEST_PATH = 4096;

/** The last name first. */
const namesOf = (path: string): string[] =>
  path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .reverse();

const notAFile = (path: string, kind: TreeNode['kind']): UpdateError =>
  new UpdateError('source-unreadable', `${path} is a ${kind}, not a regular file.`);

const tooLarge = (path: string, size: number, most: number): UpdateError =>
  new UpdateError('source-unreadable', `${path} has ${size} bytes; at most ${most} are read.`);
