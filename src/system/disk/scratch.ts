/** A folder for the intermediate files of a build, next to the result; always removed. */

import { chmod, type FileHandle, mkdir, mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { naming } from '../files.ts';

export interface Scratch extends AsyncDisposable {
  /** The path of a file, for programs that write one. */
  path(name: string): string;
  /** A new file. */
  create(name: string): Promise<ScratchFile>;
  /** A new file with this text, readable only for this user unless `mode` is given. */
  writeText(
    name: string,
    text: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
    mode?: number,
  ): Promise<void>;
  /** A new file of zeros that take no space, readable for everybody whom the umask lets. */
  createSparse(name: string, size: number): Promise<void>;
  /** A symbolic link to a path elsewhere. */
  link(name: string, target: string): Promise<void>;
  /** A folder, with its parents, whatever the umask; an existing one keeps its mode. */
  makeDir(name: string, mode: number): Promise<void>;
}

/** A file written in any order, and read afterwards. */
export interface ScratchFile {
  readonly name: string;
  /** One more than the highest offset written. */
  readonly size: number;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}

/** Creates the folder next to `output`, so that it has as much space as the result. */
export async function createScratch(output: string): Promise<Scratch> {
  const folder = await mkdtemp(join(dirname(output), '.tandem-build-')).catch((cause: NodeJS.ErrnoException) => {
    throw new UpdateError('file-unwritable', `${dirname(output)} cannot be written: ${cause.code ?? cause.message}.`, {
      cause,
    });
  });
  const opened: Promise<FileHandle>[] = [];
  return {
    path: (name) => join(folder, name),
    create: async (name) => {
      const opening = open(join(folder, name), 'wx+', 0o600);
      opened.push(opening);
      return scratchFile(await opening.catch(naming(folder)), name, folder);
    },
    writeText: async (name, text, mode = 0o600) => {
      await writeFile(join(folder, name), text, { flag: 'wx', mode: 0o600 }).catch(naming(folder));
      if (mode !== 0o600) await chmod(join(folder, name), mode);
    },
    createSparse: async (name, size) => {
      await using file = await open(join(folder, name), 'wx', 0o666).catch(naming(folder));
      await file.truncate(size).catch(naming(folder));
    },
    link: (name, target) => symlink(target, join(folder, name)),
    makeDir: async (name, mode) => {
      if ((await mkdir(join(folder, name), { recursive: true })) !== undefined) await chmod(join(folder, name), mode);
    },
    [Symbol.asyncDispose]: async () => {
      // A file still being opened must be closed as well.
      await Promise.allSettled(opened.map(async (opening) => (await opening).close()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const PIECE = 256 * 1024;

function scratchFile(handle: FileHandle, name: string, folder: string): ScratchFile {
  let size = 0;
  return {
    name,
    get size() {
      return size;
    },
    write: async (offset, bytes) => {
      await writeAll(handle, offset, bytes).catch(naming(folder));
      size = Math.max(size, offset + bytes.length);
    },
    open: (offset, signal, end = size) => pieces(handle, offset, Math.min(end, size), signal),
  };
}

async function writeAll(handle: FileHandle, offset: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
}

async function* pieces(
  handle: FileHandle,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let offset = start; offset < end; ) {
    signal.throwIfAborted();
    const buffer = new Uint8Array(Math.min(PIECE, end - offset));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0)
      throw new UpdateError('file-changed', `A file of the build ended at ${offset} instead of ${end}.`);
    offset += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
