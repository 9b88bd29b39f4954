/** Opens a partition, a disk or a range of a file for I/O that bypasses the page cache. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { alignedBuffers } from './aligned-memory.ts';
import { type Area, areaOf, type Range } from './block-area.ts';
import type { DiskTarget } from './block-target.ts';
import { openFailure, readFailure } from './disk-errors.ts';
import { type RawIo, stagedTarget } from './staged-target.ts';

export type OpenBlock = Readonly<{
  writable: boolean;
  /** Refuses a device that is mounted or opened exclusively by others. A disk with mounted partitions is opened without this. */
  exclusive: boolean;
  /** A range of it. A regular file needs one: without it, opening a file in /dev would be a mistake. */
  range?: Range;
  /** The identity found earlier; anything else is refused. */
  expect?: Readonly<{ rdev?: string; size?: number }>;
  /** Called if a file system cannot bypass the page cache for reads. */
  warn?: (sentence: string) => void;
}>;

/** Never creates a file; after opening, checks that it is the intended one. */
export async function openBlockTarget(path: string, options: OpenBlock): Promise<DiskTarget> {
  const handle = await openOnce(path, options);
  try {
    const area = await areaOf(handle, path, options);
    const direct = await openDirect(handle, area, options);
    return stagedTarget(area, rawIo(area, handle, direct ?? handle));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openOnce(path: string, { writable, exclusive }: OpenBlock): Promise<FileHandle> {
  const access = writable ? constants.O_RDWR : constants.O_RDONLY;
  // Non-blocking, because opening a pipe in place of the device would wait.
  const flags = access | (exclusive ? constants.O_EXCL : 0) | constants.O_NONBLOCK;
  return open(path, flags).catch((error: unknown) => {
    throw openFailure(error, path);
  });
}

/** Reopens the same inode through the descriptor, so that it cannot be replaced in between. */
async function openDirect(handle: FileHandle, area: Area, options: OpenBlock): Promise<FileHandle | undefined> {
  const access = options.writable ? constants.O_RDWR : constants.O_RDONLY;
  let direct: FileHandle | undefined;
  try {
    direct = await open(`/proc/self/fd/${handle.fd}`, access | constants.O_DIRECT);
    // Some file systems accept the flag but fail the reads.
    const [probe] = area.device ? [] : alignedBuffers(1, ALIGNMENT);
    if (probe) await direct.read(probe, 0, ALIGNMENT, Math.floor(area.start / ALIGNMENT) * ALIGNMENT);
    return direct;
  } catch (error) {
    await direct?.close();
    if (area.device || (error as NodeJS.ErrnoException).code !== 'EINVAL') throw readFailure(error, area.name, 0);
    options.warn?.(`${area.name}: its file system cannot read past the page cache, so a read-back proves less.`);
    return undefined;
  }
}

/** Whole units bypass the page cache, the rest goes through it; the kernel keeps both coherent. */
function rawIo(area: Area, handle: FileHandle, direct: FileHandle): RawIo {
  return {
    write: async (bytes, done, at) => {
      const aligned = [at, bytes.length - done, bytes.byteOffset + done].every((each) => each % area.unit === 0);
      const { bytesWritten } = await (aligned ? direct : handle).write(bytes, done, bytes.length - done, at);
      return bytesWritten;
    },
    read: async (bytes, done, at) => (await direct.read(bytes, done, bytes.length - done, at)).bytesRead,
    sync: () => handle.datasync(),
    close: async () => {
      if (direct !== handle) await direct.close();
      await handle.close();
    },
  };
}

const ALIGNMENT = 4096;
