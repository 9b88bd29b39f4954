/** The primitives of durable file writing, and the one way to replace a file so that a power cut leaves either the old or the new one. */

import { constants, type Stats } from 'node:fs';
import { access, mkdir, open, readdir, readFile, realpath, rename, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Operations on files that must survive a power cut: the state directory and the ESP. Small on purpose: crash tests replace it with a
 * recorder that distinguishes “written” from “durable”.
 */
export interface Files {
  /** The content; undefined if there is no such file; throws if it is larger than `most` bytes. */
  read(path: string, most?: number): Promise<Uint8Array | undefined>;
  /** The sorted names in a folder; an absent folder is empty. */
  list(dir: string): Promise<string[]>;
  makeDir(dir: string): Promise<void>;
  /** Writes a new or truncated file, world-readable unless `mode` is given. Durable only after `syncFile` and `syncDir`. */
  write(path: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, mode?: number): Promise<void>;
  syncFile(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDir(dir: string): Promise<void>;
}

/** Replaces `path` by `bytes` atomically: temporary file, fsync, rename, fsync of the folder. */
export async function replaceFile(
  files: Files,
  path: string,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  mode?: number,
): Promise<void> {
  const temp = temporaryName(path);
  await files.write(temp, bytes instanceof Uint8Array ? [bytes] : bytes, mode);
  await files.syncFile(temp);
  await files.rename(temp, path);
  await files.syncDir(dirname(path));
}

/** Renames durably. */
export async function moveFile(files: Files, from: string, to: string): Promise<void> {
  await files.rename(from, to);
  await files.syncDir(dirname(to));
}

/** Removes durably; an absent file is fine. */
export async function removeFile(files: Files, path: string): Promise<void> {
  await files.remove(path);
  await files.syncDir(dirname(path));
}

/** Temporary files left by a power cut. */
export async function removeTemporaries(files: Files, dir: string): Promise<void> {
  for (const name of await files.list(dir)) if (name.endsWith(TEMPORARY)) await files.remove(join(dir, name));
}

/** The suffix of files being written. */
export const TEMPORARY = '.tandem-new';

const temporaryName = (path: string): string => `${path}${TEMPORARY}`;

/** The real file system. */
export const realFiles: Files = {
  read: (path, most) => readRegular(path, most).catch(absent).catch(naming(path)),
  list: async (dir) => ((await readdir(dir).catch(absent)) ?? []).sort(),
  makeDir: (dir) => makeFolder(dir),
  write: async (path, chunks, mode = 0o644) => {
    await using file = await open(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
      mode,
    );
    // An existing file keeps its mode.
    if (mode !== 0o644) await file.chmod(mode);
    for await (const chunk of chunks) await file.writeFile(chunk).catch(naming(path));
  },
  syncFile: (path) => sync(path),
  rename: (from, to) => rename(from, to),
  remove: async (path) => void (await unlink(path).catch(absent)),
  syncDir: (dir) => sync(dir),
};

/** A part of a file, shorter at its end, and the length of the whole file; undefined if there is no file. */
export type ReadPart = (
  path: string,
  offset: number,
  length: number,
) => Promise<Readonly<{ bytes: Uint8Array; size: number }> | undefined>;

/** Of real files. */
export const readPart: ReadPart = async (path, offset, length) => {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(absent);
  if (!file) return undefined;
  const { size } = await file.stat();
  const buffer = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
  const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
  return { bytes: buffer.subarray(0, bytesRead), size };
};

/** The first `most` bytes of a file; undefined if there is no file. */
export type ReadHead = (path: string, most: number) => Promise<Uint8Array | undefined>;

/** Of real files: follows links, and reads the kernel's files, which report no length. */
export const readHead: ReadHead = async (path, most) => {
  // Non-blocking, because opening a pipe would wait.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(absent);
  if (!file) return undefined;
  const buffer = new Uint8Array(most);
  let total = 0;
  for (let count = -1; count !== 0; total += count)
    count = (await file.read(buffer, total, most - total, null)).bytesRead;
  return buffer.subarray(0, total);
};

/** Of any `files`: reads the whole file each time. */
export const readPartOf =
  (files: Pick<Files, 'read'>): ReadPart =>
  async (path, offset, length) => {
    const bytes = await files.read(path);
    return bytes && { bytes: bytes.subarray(offset, offset + length), size: bytes.length };
  };

/** Writes bytes at an offset of a file, creating or growing it. Durable only after `syncFile` and `syncDir`. */
export type WritePart = (path: string, offset: number, bytes: Uint8Array) => Promise<void>;

/** To real files. */
export const writePart: WritePart = async (path, offset, bytes) => {
  await using file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, offset + done).catch(naming(path))).bytesWritten;
};

/** To any `files`: writes the whole file each time. */
export const writePartOf =
  (files: Pick<Files, 'read' | 'write'>): WritePart =>
  async (path, offset, bytes) => {
    const before = (await files.read(path)) ?? new Uint8Array(0);
    const after = new Uint8Array(Math.max(before.length, offset + bytes.length));
    after.set(before);
    after.set(bytes, offset);
    await files.write(path, [after]);
  };

/** Reads a file without keeping it; returns its bytes, 0 if it is not a regular file or larger than `most`. */
export async function readThrough(path: string, most: number): Promise<number> {
  // Non-blocking, because opening a pipe would wait.
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(absent);
  const found = await file?.stat();
  if (!file || !found?.isFile() || found.size > most) return 0;
  const buffer = new Uint8Array(256 * 1024);
  let total = 0;
  for (let count = -1; count !== 0; total += count) count = (await file.read(buffer, 0, buffer.length, null)).bytesRead;
  return total;
}

/** A whole file, or the output of a program in a pipe, as in `<(pass show token)`; undefined if it does not exist. */
export const readStream = (path: string): Promise<Uint8Array | undefined> => readFile(path).catch(absent);

/** The result of `stat`; undefined if the path does not exist. */
export const statOf = (path: string): Promise<Stats | undefined> => stat(path).catch(absent);

/** The text of a file, trimmed; undefined if it does not exist. */
export const readText = async (files: Pick<Files, 'read'>, path: string): Promise<string> =>
  new TextDecoder().decode(await files.read(path)).trim();

/** Also undefined if the file may not be read. */
export const readTextIfAny = (files: Pick<Files, 'read'>, path: string): Promise<string | undefined> =>
  files.read(path).then(
    (bytes) => bytes && new TextDecoder().decode(bytes).trim(),
    () => undefined,
  );

/** A folder at exactly this path: a link in another root's path would lead out of it. */
export const isFolder = async (path: string): Promise<boolean> =>
  (await realpath(path).catch(() => undefined)) === path && (await statOf(path))?.isDirectory() === true;

/** Free bytes for unprivileged programs on the file system of `dir`. */
export async function freeSpace(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

/** Also throws if writing is impossible: on a read-only file system, or without permission. */
export async function writableSpace(dir: string): Promise<number> {
  await access(dir, constants.W_OK);
  return freeSpace(dir);
}

/** Refuses anything that is not a regular file, such as a pipe or disk, on which reading could block forever. The kernel opens no socket. */
async function readRegular(path: string, most = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const found = await file.stat();
  // systemd's users mask a file with a link to /dev/null.
  if (found.isFIFO() || found.isBlockDevice())
    throw Object.assign(new Error(`ENXIO: ${path}`), { code: 'ENXIO', syscall: 'open', path });
  // Other devices, such as /dev/zero, have no end.
  if (found.isCharacterDevice()) return new Uint8Array();
  if (found.size > most)
    throw Object.assign(new Error(`${path} has ${found.size} bytes; at most ${most} are read.`), {
      code: 'EFBIG',
      path,
    });
  return await file.readFile();
}

async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o755 });
  } catch (error) {
    // On a read-only file system, Node.js reports ENOENT for the whole path.
    const above = dirname(dir);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === dir) throw error;
    await makeFolder(above);
    await mkdir(dir, { mode: 0o755 });
  }
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path, constants.O_RDONLY);
  await handle.sync().catch(naming(path));
}

/** Errors on an open file lack its path, which an operator needs. */
export const naming =
  (path: string) =>
  (error: unknown): never => {
    if (error instanceof Error && 'syscall' in error && !('path' in error)) Object.assign(error, { path });
    throw error;
  };

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}
