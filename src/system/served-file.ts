/** Files that are given away, whole or in parts: each is opened once, and shared by all who ask for it at the same time. */

import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';

/** A part of a file. Its memory is used again once `release` was called, which must be when it has been sent. */
export type Span = Readonly<{ body: Uint8Array | Readable; release(): void }>;

/** Exactly one of `span` and `close` must be called. */
export type ServedFile = Readonly<{
  size: number;
  modified: Date;
  /** Both bounds belong to it. Fails when the file has become shorter meanwhile. */
  span(start: number, end: number): Promise<Span>;
  close(): void;
}>;

/** Undefined when there is no such file, or it is none. */
export type Serve = (path: string) => Promise<ServedFile | undefined>;

/** A file is looked for anew when it was not for `freshMs`, and closed when nobody has asked for it for as long. */
export function serveFiles({ freshMs = 1000 }: Readonly<{ freshMs?: number }> = {}): Serve {
  const files = new Map<string, Shared>();
  const memory = createMemory();
  const forget = (path: string, file: Shared): void => {
    if (files.get(path) === file) files.delete(path);
    file.retire();
  };
  return async (path) => {
    const known = files.get(path);
    if (known) return known.lend();
    const opened = await openShared(path, memory);
    if (!opened) return undefined;
    const rival = files.get(path);
    // Two have asked at the same moment.
    if (rival) {
      opened.retire();
      return rival.lend();
    }
    files.set(path, opened);
    setTimeout(() => forget(path, opened), freshMs).unref();
    return opened.lend();
  };
}

/** An open file; it is closed once it is retired and nobody has it any more. */
type Shared = Readonly<{ lend(): ServedFile; retire(): void }>;

async function openShared(path: string, memory: Memory): Promise<Shared | undefined> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EISDIR') return undefined;
    throw error;
  });
  if (!handle) return undefined;
  const about = await handle.stat();
  if (about.isFile()) return shared(handle, about.size, about.mtime, memory);
  await handle.close();
  return undefined;
}

function shared(handle: FileHandle, size: number, modified: Date, memory: Memory): Shared {
  let users = 1;
  const leave = (): void => {
    users -= 1;
    if (users === 0) handle.close().catch(() => undefined);
  };
  const span = async (start: number, end: number): Promise<Span> => {
    if (end - start >= PIECE) return { body: streamOf(handle, start, end), release: leave };
    const buffer = memory.take();
    const release = (): void => {
      memory.giveBack(buffer);
      leave();
    };
    try {
      return { body: await fill(handle, buffer.subarray(0, end - start + 1), start, memory), release };
    } catch (error) {
      release();
      throw error;
    }
  };
  return {
    lend: () => {
      users += 1;
      return { size, modified, span, close: leave };
    },
    retire: leave,
  };
}

/** Not the handle's own stream: each one would listen for the end of the shared handle. */
function streamOf(handle: FileHandle, start: number, end: number): Readable {
  let at = start;
  return new Readable({
    highWaterMark: PIECE,
    read(): void {
      const length = Math.min(PIECE, end + 1 - at);
      if (length === 0) return void this.push(null);
      handle.read(Buffer.allocUnsafe(length), 0, length, at).then(
        ({ bytesRead, buffer }) => {
          at += bytesRead;
          if (bytesRead > 0) this.push(buffer.subarray(0, bytesRead));
          else this.destroy(shorter(at));
        },
        (error: Error) => this.destroy(error),
      );
    },
  });
}

async function fill(handle: FileHandle, bytes: Uint8Array, start: number, memory: Memory): Promise<Uint8Array> {
  for (let done = 0; done < bytes.length; ) {
    const read = await memory.read(handle, bytes, done, start + done);
    if (read === 0) throw shorter(start + done);
    done += read;
  }
  return bytes;
}

const shorter = (end: number): Error => new Error(`a file that is given away ends at byte ${end} now`);

/** What all files share: memory that was used, and how fast the disk is. */
type Memory = Readonly<{
  take(): Uint8Array;
  giveBack(buffer: Uint8Array): void;
  read(handle: FileHandle, bytes: Uint8Array, done: number, at: number): number | Promise<number>;
}>;

function createMemory(): Memory {
  const free: Uint8Array[] = [];
  let slowUntil = 0;
  return {
    take: () => free.pop() ?? Buffer.allocUnsafeSlow(PIECE),
    giveBack: (buffer) => void (free.length < MOST_FREE && free.push(buffer)),
    // A part that many ask for lies in the page cache, and copying it costs less than asking a thread to. Where it did not, the others need not
    // wait for the disk again.
    read: (handle, bytes, done, at) => {
      const begun = performance.now();
      const length = bytes.length - done;
      if (begun < slowUntil) return handle.read(bytes, done, length, at).then(({ bytesRead }) => bytesRead);
      const read = readSync(handle.fd, bytes, done, length, at);
      const end = performance.now();
      if (end - begun > SLOW_MS) slowUntil = end + REST_MS;
      return read;
    },
  };
}

const PIECE = 256 * 1024;
const MOST_FREE = 64;
const SLOW_MS = 5;
const REST_MS = 500;
