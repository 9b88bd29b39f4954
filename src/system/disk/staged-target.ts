/** A block target over plain reads and writes: gathers writes, completes short ones, and stays failed after a failure. */

import { UpdateError } from '../../errors.ts';
import { alignedBuffers } from './aligned-memory.ts';
import type { Area } from './block-area.ts';
import type { DiskTarget } from './block-target.ts';
import { readFailure, writeFailure } from './disk-errors.ts';
import { createStripes } from './stripes.ts';

/** System calls with device offsets; each may transfer less than requested. `done`: bytes of the buffer already transferred. */
export type RawIo = Readonly<{
  write(bytes: Uint8Array, done: number, at: number): Promise<number>;
  read(bytes: Uint8Array, done: number, at: number): Promise<number>;
  sync(): Promise<void>;
  close(): Promise<void>;
}>;

/** After the first failure every call fails likewise: the content of the target is unknown. */
export function stagedTarget(area: Area, io: RawIo): DiskTarget {
  const stripes = createStripes(STRIPES, STRIPE, (offset, bytes) => writeAll(area, io, offset, bytes));
  const read = createReader(area, io);
  let failed: { error: unknown } | undefined;
  const guard = async <T>(deed: () => Promise<T>): Promise<T> => {
    if (failed) throw failed.error;
    return deed().catch((error: unknown) => {
      failed ??= { error };
      throw error;
    });
  };
  return {
    name: area.name,
    size: area.size,
    sectorSize: area.sectorSize,
    read: async (offset, length) => {
      assertInside(area, offset, length);
      await guard(stripes.settle);
      return read(offset, length);
    },
    ...(area.start % area.unit === 0 ? { readInto: intoReader(area, io) } : {}),
    write: async (offset, bytes) => {
      assertInside(area, offset, bytes.length);
      await guard(() => stripes.write(offset, bytes));
    },
    flush: () =>
      guard(async () => {
        await stripes.settle();
        await io.sync().catch((cause: unknown) => {
          throw new UpdateError('disk-flush-failed', `${area.name}: its writes were not made durable (${cause}).`, {
            cause,
          });
        });
      }),
    [Symbol.asyncDispose]: async () => {
      // Still tries to write what was accepted, because a later attempt keeps blocks that are right on the medium.
      await guard(stripes.settle).catch(() => undefined);
      await io.close();
    },
  };
}

function assertInside({ name, size }: Area, offset: number, length: number): void {
  if (offset < 0 || offset + length > size)
    throw new RangeError(`${name}: bytes ${offset}+${length} are outside its ${size} bytes.`);
}

async function writeAll(area: Area, io: RawIo, offset: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const written = await io.write(bytes, done, area.start + offset + done).catch((error: unknown) => {
      throw writeFailure(error, area.name, offset + done);
    });
    if (written === 0) throw writeFailure('it took no bytes', area.name, offset + done);
    done += written;
  }
}

/** Alternates between two aligned buffers; a longer read gets its own memory. */
function createReader(area: Area, io: RawIo): (offset: number, length: number) => Promise<Uint8Array> {
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
    const buffer = next(until - from).subarray(0, until - from);
    await fill(area, io, buffer, from, start + length);
    return buffer.subarray(start - from, start - from + length);
  };
}

/** For whole units of an aligned area. */
const intoReader =
  (area: Area, io: RawIo) =>
  async (offset: number, into: Uint8Array): Promise<void> => {
    assertInside(area, offset, into.length);
    await fill(area, io, into, area.start + offset, area.start + offset + into.length);
  };

/** A file may end within its last unit, so only `need` bytes are required. */
async function fill(area: Area, io: RawIo, buffer: Uint8Array, from: number, need: number): Promise<void> {
  for (let done = 0; from + done < need; ) {
    const count = await io.read(buffer, done, from + done).catch((error: unknown) => {
      throw readFailure(error, area.name, from + done - area.start);
    });
    if (count === 0) throw readFailure('it ends there', area.name, from + done - area.start);
    done += count;
  }
}

const STRIPE = 512 * 1024;
const STRIPES = 3;
const READ = STRIPE + 2 * 4096;
