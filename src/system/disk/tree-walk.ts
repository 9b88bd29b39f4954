/** Lists a file tree in a fixed order, without following links. */

import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { UpdateError } from '../../errors.ts';
import { type FileKind, kindOfMode } from '../../formats/file-kind.ts';

/** A file, folder, link or device. Paths are bytes, represented as `latin1`, in any encoding. */
export type TreeEntry = Readonly<{
  /** Relative to the top of the tree. */
  path: string;
  kind: FileKind;
  size: number;
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since the epoch. */
  mtime: number;
  /** The same for all hard links of a file. */
  inode: string;
  device: number;
}>;

/** Everything below `top`, sorted by the bytes of names, folders before their content. Throws on an unreadable folder, unless a callback handles it. */
export async function* walkTree(top: string, unlisted?: (path: string) => void, below = ''): AsyncGenerator<TreeEntry> {
  for (const name of await namesIn(top, below, unlisted)) {
    const path = below === '' ? name : `${below}/${name}`;
    const entry = await entryAt(top, path);
    yield entry;
    if (entry.kind === 'folder') yield* walkTree(top, unlisted, path);
  }
}

/** The top folder of the tree. */
export const topOf = (top: string): Promise<TreeEntry> => entryAt(top, '');

async function entryAt(top: string, path: string): Promise<TreeEntry> {
  const stats = await lstat(placeOf(top, path));
  const { size, mode, uid, gid, mtimeMs, dev, ino, rdev } = stats;
  const mtime = Math.floor(mtimeMs / 1000);
  return { path, kind: kindOf(stats), size, mode, uid, gid, mtime, inode: `${dev} ${ino}`, device: rdev };
}

/** The path of an entry for system calls. */
export const placeOf = (top: string, path: string): Buffer =>
  Buffer.concat([Buffer.from(top), Buffer.from(path === '' ? '' : `/${path}`, 'latin1')]);

/** The path of an entry for people. */
export const shownPath = (top: string, path: string): string => placeOf(top, path).toString();

/** The target of a link, as bytes in `latin1`. */
export const linkTarget = async (top: string, path: string): Promise<string> =>
  await readlink(placeOf(top, path), { encoding: 'latin1' });

/** Whether this user may read the file. */
export const isReadable = (top: string, path: string): Promise<boolean> =>
  open(placeOf(top, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).then(
    (file) => file.close().then(() => true),
    () => false,
  );

export const kindOf = ({ mode }: Stats): FileKind => kindOfMode(mode) ?? 'character device';

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
