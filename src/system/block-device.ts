/** Opens a partition, a disk or a range of a file so that what is written and read passes by the page cache. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { UpdateError } from '../errors.ts';
import { alignedBuffers } from './aligned-memory.ts';
import { type Area, areaOf, type Range } from './block-area.ts';
import type { DiskTarget } from './block-target.ts';
import { openFailure, readFailure, writeFailure } from './disk-errors.ts';
import { createStripes } from './stripes.ts';

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
    return target(area, handle, direct ?? handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openOnce(path: string, { writable, exclusive }: OpenBlock): Promise<FileHandle> {
  const access = writable ? constants.O_RDWR : constants.O_RDONLY;
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
    const [probe] = alignedBuffers(1, ALIGNMENT);
    if (probe) await direct.read(probe, 0, ALIGNMENT, Math.floor(area.start / ALIGNMENT) * ALIGNMENT);
    return direct;
  } catch (error) {
    await direct?.close();
    if (area.device || (error as NodeJS.ErrnoException).code !== 'EINVAL') throw readFailure(error, area.name, 0);
    options.warn?.(`${area.name}: its file system cannot read past the page cache, so a read-back proves less.`);
    return undefined;
  }
}

function target(area: Area, handle: FileHandle, direct: FileHandle): DiskTarget {
  const pieces = pieceIo(area, handle, direct);
  const stripes = createStripes(STRIPES, STRIPE, pieces.write);
  const read = createReader(area, direct);
  let failed: UpdateError | undefined;
  const guard = async <T>(deed: () => Promise<T>): Promise<T> => {
    if (failed) throw failed;
    return deed().catch((error: unknown) => {
      if (error instanceof UpdateError) failed = error;
      throw error;
    });
  };
  const inside = (offset: number, length: number): void => {
    if (offset < 0 || offset + length > area.size)
      throw new RangeError(`${area.name}: bytes ${offset}+${length} are outside its ${area.size} bytes.`);
  };
  return {
    name: area.name,
    size: area.size,
    sectorSize: area.sectorSize,
    read: async (offset, length) => {
      inside(offset, length);
      await guard(stripes.settle);
      return read(offset, length);
    },
    write: async (offset, bytes) => {
      inside(offset, bytes.length);
      await guard(() => stripes.write(offset, bytes));
    },
    flush: () =>
      guard(async () => {
        await stripes.settle();
        await handle.datasync().catch((cause: unknown) => {
          throw new UpdateError('disk-flush-failed', `${area.name}: ${String(cause)}`, { cause });
        });
      }),
    [Symbol.asyncDispose]: async () => {
      // What was taken goes out if it can: a later try keeps what lies right on the medium.
      await guard(stripes.settle).catch(() => undefined);
      if (direct !== handle) await direct.close();
      await handle.close();
    },
  };
}

/** Writes one piece, whole sectors past the page cache, anything else through it. */
function pieceIo(area: Area, handle: FileHandle, direct: FileHandle) {
  const write = async (offset: number, bytes: Uint8Array): Promise<void> => {
    let done = 0;
    while (done < bytes.length) {
      const at = area.start + offset + done;
      const aligned = [at, bytes.length - done, bytes.byteOffset + done].every((each) => each % area.unit === 0);
      const through = aligned ? direct : handle;
      const { bytesWritten } = await through.write(bytes, done, bytes.length - done, at).catch((error: unknown) => {
        throw writeFailure(error, area.name, offset + done);
      });
      if (bytesWritten === 0) throw writeFailure(new Error('the device took no bytes'), area.name, offset + done);
      done += bytesWritten;
    }
  };
  return { write };
}

/** Reads by turns into two aligned buffers; a longer read gets its own memory. */
function createReader(area: Area, direct: FileHandle): (offset: number, length: number) => Promise<Uint8Array> {
  let buffers: Uint8Array[] = [];
  let turn = 0;
  const next = (length: number): Uint8Array => {
    if (length > READ) return alignedBuffers(1, length)[0] as Uint8Array;
    if (buffers.length === 0) buffers = alignedBuffers(2, READ);
    turn = 1 - turn;
    return buffers[turn] as Uint8Array;
  };
  return async (offset, length) => {
    const start = area.start + offset;
    const from = Math.floor(start / area.unit) * area.unit;
    const until = Math.ceil((start + length) / area.unit) * area.unit;
    const buffer = next(until - from);
    await fill(area, direct, buffer, from, start + length, until);
    return buffer.subarray(start - from, start - from + length);
  };
}

/** `need` may lie before `until` where a file ends inside the last unit. */
async function fill(
  area: Area,
  direct: FileHandle,
  buffer: Uint8Array,
  from: number,
  need: number,
  until: number,
): Promise<void> {
  let at = from;
  while (at < need) {
    const { bytesRead } = await direct.read(buffer, at - from, until - at, at).catch((error: unknown) => {
      throw readFailure(error, area.name, at - area.start);
    });
    if (bytesRead === 0) throw readFailure(new Error('it ends there'), area.name, at - area.start);
    at += bytesRead;
  }
}

const ALIGNMENT = 4096;
const STRIPE = 1024 * 1024;
const STRIPES = 3;
const READ = 1024 * 1024 + 2 * ALIGNMENT;
