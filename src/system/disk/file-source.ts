/** A random-access local file: opened once, so that the bytes read are those checked. */

import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { UpdateError } from '../../errors.ts';

export interface FileSource extends AsyncDisposable {
  readonly name: string;
  readonly size: number;
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}

/** The regular file at `path`; throws on folders, pipes, devices and symbolic links. A copy is called `name`, after its original. */
export async function fileSource(path: string, name = path): Promise<FileSource> {
  const file = await openRegular(path);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw unreadable(path, kind(stat));
    return {
      name,
      size: stat.size,
      open: (offset, signal, end = stat.size) => pieces(file, name, offset, end, signal),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The same for a path that may be a link, such as /boot/initrd.img. */
export async function linkedSource(path: string): Promise<FileSource> {
  return await fileSource(await realpath(path).catch(() => path), path);
}

const PIECE = 1024 * 1024;

/** `O_NONBLOCK`: opening a pipe must not wait for a writer. */
const openRegular = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    const why = REASONS[error.code ?? ''] ?? `it cannot be opened (${error.code})`;
    throw unreadable(path, why, error.code === 'ENOENT' ? { missing: 1 } : {});
  });

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ELOOP: 'it is a symbolic link; name the file itself',
  EACCES: 'this user may not read it',
  ENXIO: 'it is a pipe or a socket',
};

const kind = (stat: { isDirectory(): boolean; isFIFO(): boolean }): string =>
  stat.isDirectory() ? 'it is a folder' : stat.isFIFO() ? 'it is a pipe' : 'it is not a regular file';

async function* pieces(
  file: FileHandle,
  path: string,
  offset: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < end; ) {
    signal.throwIfAborted();
    const length = Math.min(PIECE, end - at);
    const { bytesRead, buffer } = await file
      .read(Buffer.allocUnsafe(length), 0, length, at)
      .catch((error: NodeJS.ErrnoException) => {
        throw unreadable(path, `it cannot be read at byte ${at} (${error.code})`);
      });
    if (bytesRead === 0) throw unreadable(path, `it became shorter while it was read, at byte ${at}`);
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

const unreadable = (path: string, why: string, details: Record<string, number> = {}): UpdateError =>
  new UpdateError('source-unreadable', `${path}: ${why}.`, { details });
