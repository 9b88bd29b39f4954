/** Reads the record QEMU keeps of a disk's writes and flushes (dm-log-writes format), and replays power cuts in which writes are lost. */

import { type FileHandle, open } from 'node:fs/promises';

/** `at` is where the data lies in the log; without it the entry is a flush or a discard. */
export type LogEntry = Readonly<{ offset: number; length: number; flush: boolean; durable: boolean; at?: number }>;

const MAGIC = 0x6a736677736872n;
const FLAG_FLUSH = 1n;
const FLAG_FUA = 2n;
const FLAG_DISCARD = 4n;

export async function readBlockLog(path: string): Promise<LogEntry[]> {
  await using file = await open(path);
  const header = await bytesAt(file, 0, 28);
  if (header.readBigUInt64LE(0) !== MAGIC) throw new Error(`${path} is no log of writes`);
  const count = Number(header.readBigUInt64LE(16));
  const sector = header.readUInt32LE(24);
  const entries: LogEntry[] = [];
  let at = sector;
  for (let index = 0; index < count; index += 1) {
    const head = await bytesAt(file, at, 32);
    const flags = head.readBigUInt64LE(16);
    const length = Number(head.readBigUInt64LE(8)) * sector;
    const hasData = length > 0 && !(flags & FLAG_DISCARD);
    at += sector;
    entries.push({
      offset: Number(head.readBigUInt64LE(0)) * sector,
      length,
      flush: Boolean(flags & FLAG_FLUSH),
      durable: Boolean(flags & FLAG_FUA),
      ...(hasData ? { at } : {}),
    });
    if (hasData) at += length;
  }
  return entries;
}

export type Range = Readonly<{ offset: number; size: number }>;

export const touches = ({ offset, length }: LogEntry, ranges: readonly Range[]): boolean =>
  ranges.some((range) => length > 0 && offset < range.offset + range.size && offset + length > range.offset);

/** A disk on which a recorded run is replayed, forward only, stopping at moments at which the power may fail. */
export type Replay = Readonly<{
  /**
   * Puts the disk into a state in which a power cut after entry number `cut` may have left it, calls `look`, and takes the
   * uncertain part back. Of what was written since the last flush, `keep` decides what has reached the medium.
   */
  cutAfter(cut: number, keep: (entry: LogEntry) => boolean, look: () => Promise<void>): Promise<void>;
  /** Names the content of these ranges as the disk is now: the same name, the same content. */
  contentOf(ranges: readonly Range[]): string;
  close(): Promise<void>;
}>;

export async function replayOn(disk: string, log: string, entries: readonly LogEntry[]): Promise<Replay> {
  const target = await open(disk, 'r+');
  const source = await open(log);
  let certain = 0;
  let uncertain: LogEntry[] = [];

  const copy = async (entry: LogEntry): Promise<void> => {
    if (entry.at === undefined) return;
    await target.write(await bytesAt(source, entry.at, entry.length), 0, entry.length, entry.offset);
  };

  return {
    async cutAfter(cut, keep, look) {
      const flushed = entries.findLastIndex((entry, index) => index < cut && entry.flush) + 1;
      for (; certain < flushed; certain += 1) await copy(entries[certain] as LogEntry);
      const undo: { offset: number; bytes: Buffer }[] = [];
      for (const entry of entries.slice(certain, cut)) {
        if (entry.at === undefined || !(entry.durable || keep(entry))) continue;
        undo.push({ offset: entry.offset, bytes: await bytesAt(target, entry.offset, entry.length) });
        await copy(entry);
        uncertain.push(entry);
      }
      await look();
      uncertain = [];
      for (const { offset, bytes } of undo.reverse()) await target.write(bytes, 0, bytes.length, offset);
    },
    contentOf(ranges) {
      const written = [...entries.slice(0, certain), ...uncertain];
      return JSON.stringify([ranges, written.filter((entry) => touches(entry, ranges)).map(({ at }) => at)]);
    },
    async close() {
      await target.close();
      await source.close();
    },
  };
}

async function bytesAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, offset);
  if (bytesRead < length && offset < 512) throw new Error('the log of writes is too short');
  return bytes;
}
