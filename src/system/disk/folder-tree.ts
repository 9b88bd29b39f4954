/** A file tree in a folder of this system. Nothing in it is run, and only regular files are opened. */

import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { type FileTree, fileTree } from './file-tree.ts';
import { kindOf } from './tree-walk.ts';

export async function folderTree(folder: string): Promise<FileTree> {
  const top = await realpath(folder).catch((error: unknown) => {
    throw unreadable(folder, error);
  });
  if (!(await lstat(top)).isDirectory()) throw new UpdateError('source-unreadable', `${folder} is not a folder.`);
  // A handle is a path without links.
  return fileTree<string>({
    root: top,
    child: async (parent, name) => {
      if (name.includes('\0')) return undefined;
      const path = join(parent, name);
      return (await statusOf(path)) && path;
    },
    node: async (path) => {
      const found = (await statusOf(path)) ?? missing(path);
      return { kind: kindOf(found), size: found.size, mode: found.mode, device: found.rdev };
    },
    names: async (path) => {
      await using dir = await pinned(path);
      return await readdir(behind(dir)).catch((error: unknown) => {
        throw unreadable(path, error);
      });
    },
    target: (path) =>
      readlink(path).catch((error: unknown) => {
        throw unreadable(path, error);
      }),
    read: readFrom,
  });
}

async function readFrom(path: string, offset: number, length: number): Promise<Uint8Array> {
  await using node = await pinned(path);
  if (!(await node.stat()).isFile()) throw new UpdateError('source-unreadable', `${path} is not a regular file.`);
  await using file = await open(behind(node), constants.O_RDONLY).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  const buffer = new Uint8Array(length);
  let done = 0;
  for (let count = -1; count !== 0 && done < length; done += count)
    count = (await file.read(buffer, done, length - done, offset + done)).bytesRead;
  return buffer.subarray(0, done);
}

/**
 * Holds what is at this path without opening it, which could block (a pipe) or act (a device). Somebody may have put a link into the path
 * since it was looked up; then it leads elsewhere.
 */
async function pinned(path: string): Promise<FileHandle> {
  const node = await open(path, O_PATH | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  const found = await readlink(behind(node)).catch(() => undefined);
  if (found === path) return node;
  await node.close();
  const why = found === undefined ? 'cannot be read: /proc is not mounted' : 'was replaced while it was read';
  throw new UpdateError('source-unreadable', `${path} ${why}.`);
}

/** The same on every architecture that Node.js supports. */
const O_PATH = 0o10000000;

const behind = ({ fd }: FileHandle): string => `/proc/self/fd/${fd}`;

const statusOf = (path: string): Promise<Stats | undefined> =>
  lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (NOWHERE.includes(error.code ?? '')) return undefined;
    throw unreadable(path, error);
  });

const NOWHERE = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'];

function missing(path: string): never {
  throw new UpdateError('source-unreadable', `${path} was removed while it was read.`);
}

function unreadable(path: string, cause: unknown): UpdateError {
  const why = cause instanceof Error && 'code' in cause ? cause.code : cause;
  return new UpdateError('source-unreadable', `${path} cannot be read: ${why}.`, { cause });
}
