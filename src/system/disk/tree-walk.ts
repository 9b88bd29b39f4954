/** Lists a tree of files in one order, without following links. */

import { constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { UpdateError } from '../../errors.ts';

/** One file, folder, link or device. A path is bytes, here as `latin1`: what it means to people is theirs. */
export type TreeEntry = Readonly<{
  /** Below the tree's top. */
  path: string;
  kind: 'file' | 'folder' | 'link' | 'pipe' | 'socket' | 'character device' | 'block device';
  size: number;
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970. */
  mtime: number;
  /** The same for all names of one file. */
  inode: string;
  device: number;
}>;

/** Everything below `top`, sorted by the bytes of its names, folders before their content. A folder that cannot be listed ends it, unless somebody hears of it. */
export async function* walkTree(top: string, unlisted?: (path: string) => void, below = ''): AsyncGenerator<TreeEntry> {
  for (const name of await namesIn(top, below, unlisted)) {
    const path = below === '' ? name : `${below}/${name}`;
    const entry = await entryAt(top, path);
    yield entry;
    if (entry.kind === 'folder') yield* walkTree(top, unlisted, path);
  }
}

/** The folder of the tree itself. */
export const topOf = (top: string): Promise<TreeEntry> => entryAt(top, '');

async function entryAt(top: string, path: string): Promise<TreeEntry> {
  const stats = await lstat(placeOf(top, path));
  const { size, mode, uid, gid, mtimeMs, dev, ino, rdev } = stats;
  const mtime = Math.floor(mtimeMs / 1000);
  return { path, kind: kindOf(stats), size, mode, uid, gid, mtime, inode: `${dev} ${ino}`, device: rdev };
}

/** The path of an entry, as the system takes it. */
export const placeOf = (top: string, path: string): Buffer =>
  Buffer.concat([Buffer.from(top), Buffer.from(path === '' ? '' : `/${path}`, 'latin1')]);

/** The path of an entry, as people read it. */
export const shownPath = (top: string, path: string): string => placeOf(top, path).toString();

/** Where a link leads, as bytes in `latin1`. */
export const linkTarget = async (top: string, path: string): Promise<string> =>
  await readlink(placeOf(top, path), { encoding: 'latin1' });

/** Whether this user may read the file. */
export const isReadable = (top: string, path: string): Promise<boolean> =>
  open(placeOf(top, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).then(
    (file) => file.close().then(() => true),
    () => false,
  );

function kindOf(stats: Awaited<ReturnType<typeof lstat>>): TreeEntry['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'folder';
  if (stats.isSymbolicLink()) return 'link';
  if (stats.isFIFO()) return 'pipe';
  if (stats.isSocket()) return 'socket';
  return stats.isBlockDevice() ? 'block device' : 'character device';
}

async function namesIn(top: string, below: string, unlisted?: (path: string) => void): Promise<string[]> {
  try {
    return (await readdir(placeOf(top, below), { encoding: 'latin1' })).sort();
  } catch (error) {
    if (unlisted === undefined) throw unlistable(shownPath(top, below), error);
    unlisted(below);
    return [];
  }
}

function unlistable(path: string, cause: unknown): UpdateError {
  const why = cause instanceof Error && 'code' in cause ? cause.code : cause;
  return new UpdateError('source-unreadable', `${path} cannot be listed: ${why}.`, { cause });
}
