/** Lists a tree of files, sorted, without following links. */

import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UpdateError } from '../errors.ts';

/** One file, folder or link; `path` is relative to the tree's top. */
export type TreeEntry = Readonly<{ path: string; size: number; isFile: boolean; isFolder: boolean }>;

/** Everything below `top`, folders before their content. */
export async function* walkTree(top: string, below = ''): AsyncGenerator<TreeEntry> {
  for (const name of (await readdir(join(top, below)).catch(unreadable(top, below))).sort()) {
    const path = join(below, name);
    const stats = await lstat(join(top, path));
    yield { path, size: stats.size, isFile: stats.isFile(), isFolder: stats.isDirectory() };
    if (stats.isDirectory()) yield* walkTree(top, path);
  }
}

const unreadable = (top: string, below: string) => (cause: NodeJS.ErrnoException) => {
  throw new UpdateError('source-unreadable', `${join(top, below)} cannot be listed: ${cause.code ?? cause.message}.`, {
    cause,
  });
};
