/** A file that is given away whole or in parts. */

import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';

/** Exactly one of `stream` and `close` must be called. Both bounds of a stream belong to it. */
export type ServedFile = Readonly<{
  size: number;
  modified: Date;
  stream(start: number, end: number): Readable;
  close(): Promise<void>;
}>;

/** Undefined when there is no such file, or it is none. */
export async function serveFile(path: string): Promise<ServedFile | undefined> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EISDIR') return undefined;
    throw error;
  });
  if (!handle) return undefined;
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    return undefined;
  }
  return {
    size: stat.size,
    modified: stat.mtime,
    stream: (start, end) => handle.createReadStream({ start, end, highWaterMark: 256 * 1024 }),
    close: () => handle.close(),
  };
}
