/** Opens a partition, a disk or a range of a file so that what is written and read passes by the page cache. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { alignedBuffers } from './aligned-memory.ts';
import { type Area, areaOf, type Range } from './block-area.ts';
import type { DiskTarget } from './block-target.ts';
import { openFailure, readFailure } from './disk-errors.ts';
import { type RawIo, stagedTarget } from './staged-target.ts';

export type OpenBlock = Readonly<{
  writable: boolean;
  /** Nobody else may have it mounted or open exclusively. A disk whose partitions are mounted is opened without. */
  exclusive: boolean;
  /** A part of it. A regular file is refused without one: in /dev it would be a mistake. */
  range?: Range;
  /** What was looked up before; anything else is refused. */
  expect?: Readonly<{ rdev?: string; size?: number }>;
  /** Told when a file system cannot read past the page cache. */
  warn?: (sentence: string) => void;
}>;

/** Never creates; checks after opening that it is what was meant. */
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
  // Not blocking, since a pipe in the place of the device would keep us waiting.
  const flags = access | (exclusive ? constants.O_EXCL : 0) | constants.O_NONBLOCK;
  return open(path, flags).catch((error: unknown) => {
    throw openFailure(error, path);
  });
}

/** The same inode once more, through the descriptor, so that nothing can be swapped in between. */
async function openDirect(handle: FileHandle, area: Area, options: OpenBlock): Promise<FileHandle | undefined> {
  const access = options.writable ? constants.O_RDWR : constants.O_RDONLY;
  let direct: FileHandle | undefined;
  try {
    direct = await open(`/proc/self/fd/${handle.fd}`, access | constants.O_DIRECT);
    // Some file systems accept the flag and refuse the reading.
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

/** Whole units go past the page cache, anything else through it; the kernel keeps both in step. */
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
