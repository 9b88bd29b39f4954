/** Files served in whole or in parts: each is opened once, and shared by simultaneous requests. */

import { constants, readSync } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

/** A borrowed file, to be disposed of; afterwards none of its bytes may be used. */
export type ServedFile = AsyncDisposable &
  Readonly<{
    size: number;
    modified: Date;
    /** Both bounds are inclusive. Throws if the file has become shorter. */
    span(start: number, end: number): Promise<Uint8Array | Readable>;
  }>;

/** The file `name` in the folder `dir`; undefined if it does not exist or is not a regular file: links and pipes are not followed. */
export type Serve = (dir: string, name: string) => Promise<ServedFile | undefined>;

/** A file is looked up again after `freshMs`, and closed after the same time without requests. `opens` throws like `open`. */
export type ServeOptions = Readonly<{ freshMs?: number; opens?(path: string): Promise<FileHandle> }>;

export function serveFiles({ freshMs = 1000, opens = openNow }: ServeOptions = {}): Serve {
  const files = new Map<string, Promise<Shared | undefined>>();
  const memory = createMemory();
  // Opened once, however many requests wait for it.
  const opened = (dir: string, name: string, path: string): Promise<Shared | undefined> => {
    const shared = openShared(opens(path), { dir, name }, memory);
    files.set(path, shared);
    const forget = (): boolean => files.delete(path);
    shared.then((file) => (file ? retireLater(file, forget, freshMs) : forget()), forget);
    return shared;
  };
  return async (dir, name) => {
    const path = join(dir, name);
    return (await (files.get(path) ?? opened(dir, name, path)))?.lend();
  };
}

// Non-blocking, because a pipe would block a thread, and four of them would block all requests.
const openNow = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);

/** An open file, closed once it is retired and unused. */
type Shared = Readonly<{ lend(): ServedFile; retire(): Promise<void> }>;

function retireLater(file: Shared, forget: () => void, freshMs: number): void {
  const retire = (): void => {
    forget();
    file.retire().catch(() => undefined);
  };
  setTimeout(retire, freshMs).unref();
}

type Place = Readonly<{ dir: string; name: string }>;

async function openShared(opening: Promise<FileHandle>, place: Place, memory: Memory): Promise<Shared | undefined> {
  await using held = new AsyncDisposableStack();
  const handle = held.use(await opening.catch(absent));
  const about = await handle?.stat();
  if (!handle || !about?.isFile() || !(await isWithin(handle, place))) return undefined;
  return shared(handle, held.move(), about, memory);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (ABSENT.has(error.code ?? '')) return undefined;
  throw error;
}

/** No such file, an impossible name, or a link, pipe, socket or device without a driver. */
const ABSENT: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ENAMETOOLONG',
  'ELOOP',
  'ENXIO',
  'ENODEV',
]);

/** Checks that the opened file is where its name says: a linked folder would lead elsewhere. It may have been replaced since. */
async function isWithin({ fd }: FileHandle, { dir, name }: Place): Promise<boolean> {
  const [there, top] = await Promise.all([readlink(`/proc/self/fd/${fd}`), realpath(dir)]);
  const expected = join(top, name);
  return expected.startsWith(`${top}/`) && (there === expected || there === `${expected} (deleted)`);
}

type About = Readonly<{ size: number; mtime: Date }>;

function shared(handle: FileHandle, held: AsyncDisposable, { size, mtime }: About, memory: Memory): Shared {
  let users = 1;
  const leave = async (): Promise<void> => {
    users -= 1;
    if (users === 0) await held[Symbol.asyncDispose]();
  };
  return {
    lend: () => {
      users += 1;
      return lent(handle, { size, mtime }, memory, leave);
    },
    retire: leave,
  };
}

/** A borrower's handle, which can be returned only once. */
function lent(handle: FileHandle, { size, mtime }: About, memory: Memory, leave: () => Promise<void>): ServedFile {
  const given = new AsyncDisposableStack();
  given.defer(leave);
  const span = async (start: number, end: number): Promise<Uint8Array | Readable> => {
    if (end - start >= PIECE) return given.adopt(streamOf(handle, start, end), (stream) => void stream.destroy());
    const buffer = given.adopt(memory.take(), memory.giveBack);
    return fill(handle, buffer.subarray(0, end - start + 1), start, memory);
  };
  return { size, modified: mtime, span, [Symbol.asyncDispose]: () => given.disposeAsync() };
}
/** Not the handle's own stream: each would add a listener to the shared handle. */
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

/** Shared by all files: a pool of buffers, and the speed of the disk. */
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
    // Popular parts are in the page cache, where a synchronous read is cheaper than a thread's. After a slow read, the next ones use
    // threads, so that they do not all wait for the disk.
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
