/** Files that are given away, whole or in parts: each is opened once, and shared by all who ask for it at the same time. */

import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';

/** A file that is lent until it is disposed of; then nobody may hold a byte of it any more. */
export type ServedFile = AsyncDisposable &
  Readonly<{
    size: number;
    modified: Date;
    /** Both bounds belong to it. Fails when the file has become shorter meanwhile. */
    span(start: number, end: number): Promise<Uint8Array | Readable>;
  }>;

/** Undefined when there is no such file, or it is none. */
export type Serve = (path: string) => Promise<ServedFile | undefined>;

/** A file is looked for anew when it was not for `freshMs`, and closed when nobody has asked for it for as long. `opens` fails as `open` does. */
export type ServeOptions = Readonly<{ freshMs?: number; opens?(path: string): Promise<FileHandle> }>;

export function serveFiles({ freshMs = 1000, opens = (path) => open(path, 'r') }: ServeOptions = {}): Serve {
  const files = new Map<string, Promise<Shared | undefined>>();
  const memory = createMemory();
  // However many ask while it is being opened, it is opened once.
  const opened = (path: string): Promise<Shared | undefined> => {
    const shared = openShared(opens(path), memory);
    files.set(path, shared);
    const forget = (): boolean => files.delete(path);
    shared.then((file) => (file ? retireLater(file, forget, freshMs) : forget()), forget);
    return shared;
  };
  return async (path) => (await (files.get(path) ?? opened(path)))?.lend();
}

/** An open file; it is closed once it is retired and nobody has it any more. */
type Shared = Readonly<{ lend(): ServedFile; retire(): Promise<void> }>;

function retireLater(file: Shared, forget: () => void, freshMs: number): void {
  const retire = (): void => {
    forget();
    file.retire().catch(() => undefined);
  };
  setTimeout(retire, freshMs).unref();
}

async function openShared(opening: Promise<FileHandle>, memory: Memory): Promise<Shared | undefined> {
  await using held = new AsyncDisposableStack();
  const handle = held.use(await opening.catch(absent));
  const about = await handle?.stat();
  if (!handle || !about?.isFile()) return undefined;
  return shared(handle, held.move(), about, memory);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EISDIR') return undefined;
  throw error;
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

/** To one who asks: what he was given goes back when he is done, and only once. */
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
