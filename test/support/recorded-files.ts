/** A file system in memory that keeps "written" and "durable" apart: names belong to folders, content to files. */

import { dirname } from 'node:path';
import type { Dice } from './dice.ts';

export type FileOp =
  | Readonly<{ op: 'write'; path: string; bytes: Uint8Array }>
  | Readonly<{ op: 'rename'; from: string; to: string }>
  | Readonly<{ op: 'remove'; path: string }>
  | Readonly<{ op: 'makeDir'; dir: string }>
  | Readonly<{ op: 'syncFile'; path: string; ignored: boolean }>
  | Readonly<{ op: 'syncDir'; dir: string; ignored: boolean }>;

/** `durable` is what certainly survives; `now` what a reader sees before a power cut. */
type Content = { now: Uint8Array; durable: Uint8Array | undefined };
type NameChange = Readonly<{ dir: string; apply: (names: Map<string, Content>) => void }>;

/** Replays operations; says what is there now, or what a power cut leaves of it. */
export class RecordedFiles {
  private readonly names = new Map<string, Content>();
  private readonly durableNames = new Map<string, Content>();
  private readonly dirs: Set<string>;
  private pending: NameChange[] = [];

  constructor(files: ReadonlyMap<string, Uint8Array> = new Map(), dirs: Iterable<string> = []) {
    this.dirs = new Set(dirs);
    for (const [path, bytes] of files) {
      const content = { now: bytes, durable: bytes };
      this.names.set(path, content);
      this.durableNames.set(path, content);
    }
  }

  read(path: string): Uint8Array | undefined {
    return this.names.get(path)?.now;
  }

  list(dir: string): string[] {
    const prefix = dir.endsWith('/') ? dir : `${dir}/`;
    const all = [...this.names.keys(), ...this.dirs].filter((path) => path.startsWith(prefix) && path !== prefix);
    return [...new Set(all.map((path) => path.slice(prefix.length).split('/')[0] ?? ''))].sort();
  }

  has(path: string): boolean {
    return this.names.has(path) || this.dirs.has(path);
  }

  apply(op: FileOp): void {
    if (op.op === 'write') this.write(op.path, op.bytes);
    else if (op.op === 'rename') this.rename(op.from, op.to);
    else if (op.op === 'remove') this.changeName(op.path, (names) => void names.delete(op.path));
    else if (op.op === 'makeDir') this.dirs.add(op.dir);
    else if (op.ignored) return;
    else if (op.op === 'syncFile') this.syncFile(op.path);
    else this.syncDir(op.dir);
  }

  /** What is left after a power cut: every change of a name that was not synced may be lost, all other data may be damaged. */
  afterCut(dice: Dice): { files: Map<string, Uint8Array>; dirs: Set<string> } {
    const lossy = dice.roll(4);
    const names = new Map(this.durableNames);
    for (const change of this.pending) if (lossy === 0 || dice.chance(0.5)) change.apply(names);
    const left = new Map<Content, Uint8Array>();
    const files = [...names].map(([path, content]) => {
      const bytes = left.get(content) ?? leftOf(content, dice);
      left.set(content, bytes);
      return [path, bytes] as const;
    });
    return { files: new Map(files), dirs: new Set(this.dirs) };
  }

  /** Everything as a reader sees it now, as if all of it were durable. */
  asIs(): { files: Map<string, Uint8Array>; dirs: Set<string> } {
    return { files: new Map([...this.names].map(([path, { now }]) => [path, now])), dirs: new Set(this.dirs) };
  }

  private write(path: string, bytes: Uint8Array): void {
    const existing = this.names.get(path);
    if (existing) {
      existing.now = bytes;
      return;
    }
    const content: Content = { now: bytes, durable: undefined };
    this.changeName(path, (names) => void names.set(path, content));
  }

  private rename(from: string, to: string): void {
    const content = this.names.get(from);
    if (!content) throw new Error(`ENOENT: rename ${from}`);
    const apply = (names: Map<string, Content>): void => {
      names.delete(from);
      names.set(to, content);
    };
    apply(this.names);
    this.pending.push({ dir: dirname(to), apply });
  }

  private changeName(path: string, apply: NameChange['apply']): void {
    apply(this.names);
    this.pending.push({ dir: dirname(path), apply });
  }

  private syncFile(path: string): void {
    const content = this.names.get(path);
    if (content) content.durable = content.now;
  }

  private syncDir(dir: string): void {
    for (const change of this.pending) if (change.dir === dir) change.apply(this.durableNames);
    this.pending = this.pending.filter((change) => change.dir !== dir);
  }
}

/** Data without fsync: there, gone, cut short, holes, or what was there before. */
function leftOf({ now, durable }: Content, dice: Dice): Uint8Array {
  if (durable === now) return now;
  const before = durable ?? new Uint8Array(0);
  const outcomes = [
    () => now,
    () => new Uint8Array(0),
    () => now.slice(0, dice.roll(now.length + 1)),
    () => new Uint8Array(now.length),
    () => before,
  ];
  return outcomes[dice.roll(outcomes.length)]?.() ?? now;
}
