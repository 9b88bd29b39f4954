/** Operations that take their time, as real ones do: each ends a turn after it was asked for, and none may begin on top of another. */

import type { Files } from '../../src/system/files.ts';

/** Where an operation works. Those at one place, and those without a place, need the ones before them done. */
export type Place = Readonly<{ path: string }> | Readonly<{ offset: number; length: number }> | 'everything';

type UnderWay = Readonly<{ what: string; place: Place }>;

/** Somebody did not wait for what had to be done first. */
export class Overlap extends Error {}

/** What is under way on one storage. */
export class Turns {
  private readonly underWay = new Set<UnderWay>();
  private fault: Overlap | undefined;

  /** Ends in a later turn; `step` is what it does, at that moment. */
  async change<T>(what: string, place: Place, step: () => T | Promise<T>): Promise<T> {
    const own = { what, place };
    this.begin(own);
    try {
      await turn();
      return await step();
    } finally {
      this.underWay.delete(own);
    }
  }

  /** Whoever looks while something changes sees what was there before. What is being synced is read by nobody who has waited for the sync. */
  async look<T>(step: () => T | Promise<T>, path?: string): Promise<T> {
    for (const { what } of this.underWay)
      if (what === `syncFile ${path}`) {
        this.fault ??= new Overlap(`${path} was read before the end of: ${what}`);
        throw this.fault;
      }
    const seen = await step();
    await turn();
    return seen;
  }

  /** Throws when somebody has not waited: what is asked of the storage afterwards would be about a deed that is not done. */
  atRest(): void {
    if (this.fault) throw this.fault;
    for (const { what } of this.underWay) throw new Overlap(`nobody waited for: ${what}`);
  }

  private begin(own: UnderWay): void {
    const before = [...this.underWay].find((one) => meet(one.place, own.place));
    if (!before) {
      this.underWay.add(own);
      return;
    }
    // Whoever asked may swallow what is thrown here.
    this.fault ??= new Overlap(`${own.what} began before the end of: ${before.what}`);
    throw this.fault;
  }
}

/** The same files, each of whose operations is in turn. */
export function filesInTurn(files: Files, turns = new Turns()): Files & { atRest(): void } {
  const change =
    <T extends readonly string[]>(name: string, step: (...paths: T) => Promise<void>) =>
    (...paths: T): Promise<void> =>
      turns.change(`${name} ${paths.join(' ')}`, 'everything', () => step(...paths));
  return {
    read: (path) => turns.look(() => files.read(path), path),
    list: (dir) => turns.look(() => files.list(dir)),
    makeDir: change('makeDir', files.makeDir),
    write: (path, chunks) => turns.change(`write ${path}`, { path }, () => files.write(path, chunks)),
    syncFile: change('syncFile', files.syncFile),
    rename: change('rename', files.rename),
    remove: change('remove', files.remove),
    syncDir: change('syncDir', files.syncDir),
    atRest: () => turns.atRest(),
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function meet(one: Place, other: Place): boolean {
  if (one === 'everything' || other === 'everything') return true;
  if ('path' in one) return 'path' in other && one.path === other.path;
  return 'offset' in other && one.offset < other.offset + other.length && other.offset < one.offset + one.length;
}
