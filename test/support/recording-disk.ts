/** A machine's storage in memory: files and a disk with one log of everything done to them, and what a power cut leaves. */

import { dirname } from 'node:path';
import type { DiskTarget } from '../../src/system/disk/block-target.ts';
import type { Files } from '../../src/system/files.ts';
import { type Dice, dice } from './dice.ts';
import { filesInTurn, Turns } from './in-turn.ts';
import { Pages } from './pages.ts';
import { type FileOp, RecordedFiles } from './recorded-files.ts';

export type DiskOp =
  | Readonly<{ op: 'block'; offset: number; bytes: Uint8Array }>
  | Readonly<{ op: 'flush'; ignored: boolean }>;
export type Op = DiskOp | FileOp;

/** Thrown by every operation from the chosen one on, as if the machine had stopped. */
export class PowerCut extends Error {}

export type RecordingOptions = Readonly<{
  /** The disk: its bytes (nothing else is on it). */
  disk?: Uint8Array | Pages;
  sectorSize?: number;
  files?: ReadonlyMap<string, Uint8Array>;
  dirs?: Iterable<string>;
  /** The n-th sync (fsync of a file or folder, flush of the disk), from 0, silently does nothing. */
  dropSync?: number;
  /** Power fails instead of the n-th operation, from 0. */
  cutAt?: number;
  /** May throw in place of an operation: a disk that fails. */
  before?: (op: Op, index: number) => void;
}>;

/**
 * Run something against `files` and `disk`; then `crashAt(n, seed)` is the storage after a power cut that came when `n` operations
 * were done. Without a seed nothing un-synced is lost (a plain prefix: kill -9). The result is a fresh recorder, so cuts nest.
 */
export class RecordingDisk {
  readonly files: Files;
  readonly disk: DiskTarget;
  /** The sync that does nothing; may be chosen anew at any time. */
  dropSync: number | undefined;
  private readonly options: RecordingOptions;
  private readonly start: Pages;
  private readonly now: Pages;
  private readonly tree: RecordedFiles;
  private readonly turns = new Turns();
  private readonly done: Op[] = [];
  private syncsDone = 0;
  /** What was certainly on the medium when the log had `length` operations. */
  private readonly durable: { length: number; pages: Pages }[] = [];

  constructor(options: RecordingOptions = {}) {
    this.options = options;
    this.dropSync = options.dropSync;
    const { disk = new Uint8Array(0) } = options;
    this.start = disk instanceof Pages ? disk.snapshot() : Pages.from(disk);
    this.now = this.start.snapshot();
    this.tree = new RecordedFiles(options.files, options.dirs);
    this.durable.push({ length: 0, pages: this.start });
    this.files = this.recordFiles();
    this.disk = { ...this.partition(0, this.now.size), name: 'disk', sectorSize: options.sectorSize ?? 512 };
  }

  /** Everything done so far, each when it ended. */
  get log(): readonly Op[] {
    this.turns.atRest();
    return this.done;
  }

  /** Syncs so far, dropped ones included. */
  get syncs(): number {
    this.turns.atRest();
    return this.syncsDone;
  }

  /** A range of the disk. Its `flush` flushes the disk, as it does on a real one. */
  partition(offset: number, size: number): DiskTarget {
    const inside = (at: number, length: number): void => {
      if (at < 0 || at + length > size) throw new RangeError(`${at}+${length} is outside ${size} bytes`);
    };
    return {
      name: `disk at ${offset}`,
      size,
      sectorSize: this.options.sectorSize ?? 512,
      read: async (at, length) => {
        inside(at, length);
        return this.turns.look(() => this.now.read(offset + at, length));
      },
      write: async (at, bytes) => {
        inside(at, bytes.length);
        const place = { offset: offset + at, length: bytes.length };
        await this.turns.change(`write ${place.offset}+${place.length}`, place, () =>
          this.record({ op: 'block', offset: place.offset, bytes: bytes.slice() }),
        );
      },
      flush: () =>
        this.turns.change('flush', 'everything', () => this.record({ op: 'flush', ignored: this.dropped() })),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  /** The bytes of the disk as a reader sees them now. */
  bytes(offset = 0, length = this.now.size - offset): Uint8Array {
    this.turns.atRest();
    return this.now.read(offset, length);
  }

  /** The storage after a power cut when `count` operations were done. */
  crashAt(count: number, seed?: number): RecordingDisk {
    this.turns.atRest();
    const chance = seed === undefined ? undefined : dice(seed * 7919 + count);
    const tree = new RecordedFiles(this.options.files, this.options.dirs);
    for (const op of this.log.slice(0, count)) if (op.op !== 'block' && op.op !== 'flush') tree.apply(op);
    const disk = this.diskAt(count, chance);
    return new RecordingDisk({
      sectorSize: this.options.sectorSize ?? 512,
      disk,
      ...(chance ? tree.afterCut(chance) : tree.asIs()),
    });
  }

  /** Every prefix from `from` operations on, plain and then with `losses` different losses each. */
  *crashStates(
    seed: number,
    losses = 3,
    from = 0,
  ): Generator<{ world: RecordingDisk; count: number; seed: number | undefined }> {
    for (let count = from; count <= this.log.length; count++) {
      yield { world: this.crashAt(count), count, seed: undefined };
      for (let round = 0; round < losses; round++) {
        const own = seed * 1000 + round;
        yield { world: this.crashAt(count, own), count, seed: own };
      }
    }
  }

  /** For messages: what was done last before a cut. */
  describe(count: number): string {
    return this.log
      .slice(Math.max(0, count - 4), count)
      .map((op) => JSON.stringify(op, (_, value) => (value instanceof Uint8Array ? `${value.length} bytes` : value)))
      .join(' ');
  }

  private diskAt(count: number, chance: Dice | undefined): Pages {
    const base = this.durable.findLast(({ length }) => length <= count) ?? { length: 0, pages: this.start };
    const pages = base.pages.snapshot();
    const pending = this.log.slice(base.length, count).filter((op) => op.op === 'block');
    const keep = chance ? (chance.roll(4) + 1) / 5 : 1;
    const torn = chance ? chance.roll(pending.length * 2) : -1;
    for (const [index, { offset, bytes }] of pending.entries()) {
      if (chance && index === torn) tear(pages, offset, bytes, chance);
      else if (!chance || chance.chance(keep)) pages.write(offset, bytes);
    }
    return pages;
  }

  private record(op: Op): void {
    const index = this.done.length;
    if (this.options.cutAt !== undefined && index >= this.options.cutAt) throw new PowerCut();
    this.options.before?.(op, index);
    if (op.op === 'block') this.now.write(op.offset, op.bytes);
    else if (op.op !== 'flush') this.tree.apply(op);
    this.done.push(op);
    if (op.op === 'flush' && !op.ignored) this.durable.push({ length: this.done.length, pages: this.now.snapshot() });
  }

  private dropped(): boolean {
    return this.syncsDone++ === this.dropSync;
  }

  private recordFiles(): Files {
    return filesInTurn(
      {
        read: async (path) => this.tree.read(path),
        list: async (dir) => this.tree.list(dir),
        makeDir: async (dir) => {
          for (let at = dir; at !== dirname(at); at = dirname(at))
            if (!this.tree.has(at)) this.record({ op: 'makeDir', dir: at });
        },
        // Created first, filled piece by piece: a cut may come in between.
        write: async (path, chunks) => {
          let bytes = new Uint8Array(0);
          this.record({ op: 'write', path, bytes });
          for await (const chunk of chunks) {
            bytes = new Uint8Array(Buffer.concat([bytes, chunk]));
            this.record({ op: 'write', path, bytes });
          }
        },
        syncFile: async (path) => this.record({ op: 'syncFile', path, ignored: this.dropped() }),
        rename: async (from, to) => this.record({ op: 'rename', from, to }),
        remove: async (path) => {
          if (this.tree.read(path) !== undefined) this.record({ op: 'remove', path });
        },
        syncDir: async (dir) => this.record({ op: 'syncDir', dir, ignored: this.dropped() }),
      },
      this.turns,
    );
  }
}

const SECTOR = 512;

/** Some of its sectors. */
function tear(pages: Pages, offset: number, bytes: Uint8Array, chance: Dice): void {
  for (let at = 0; at < bytes.length; at += SECTOR)
    if (chance.chance(0.5)) pages.write(offset + at, bytes.subarray(at, at + SECTOR));
}
