/** A SQLite database in one file, for one process. The only importer of node:sqlite. */

import { DatabaseSync } from 'node:sqlite';
import { type ErrorCode, UpdateError } from '../errors.ts';

export type Cell = string | number | null;
export type Row = Readonly<Record<string, Cell>>;

export interface Database extends Disposable {
  readonly path: string;
  run(statement: string, ...values: readonly Cell[]): void;
  rows(statement: string, ...values: readonly Cell[]): Row[];
  /** Runs `work` as one transaction: durable on return, or rolled back. */
  transaction<T>(work: () => T): T;
}

/** Opens or creates it. `durable: false` is for tests without power cuts. */
export function openDatabase(path: string, { durable = true }: Readonly<{ durable?: boolean }> = {}): Database {
  const named = <T>(deed: () => T): T => naming(path, deed);
  const database = named(() => new DatabaseSync(path, { timeout: 5000 }));
  try {
    // In WAL mode only FULL syncs every commit; NORMAL can lose acknowledged ones in a power cut.
    for (const pragma of [
      'journal_mode = WAL',
      `synchronous = ${durable ? 'FULL' : 'OFF'}`,
      'locking_mode = EXCLUSIVE',
    ])
      named(() => database.exec(`PRAGMA ${pragma}`));
    // Locks with the first write, so that a second server is refused before it has served anything.
    named(() => database.exec('BEGIN IMMEDIATE; COMMIT'));
  } catch (error) {
    database.close();
    throw error;
  }
  const prepared = new Map<string, ReturnType<DatabaseSync['prepare']>>();
  const prepare = (statement: string) => {
    const known = prepared.get(statement) ?? database.prepare(statement);
    prepared.set(statement, known);
    return known;
  };
  return {
    path,
    run: (statement, ...values) => void named(() => prepare(statement).run(...values)),
    rows: (statement, ...values) => named(() => prepare(statement).all(...values)) as Row[],
    transaction: (work) => {
      named(() => database.exec('BEGIN IMMEDIATE'));
      try {
        const result = work();
        named(() => database.exec('COMMIT'));
        return result;
      } catch (error) {
        // A full disk ends the transaction by itself.
        if (database.isTransaction) database.exec('ROLLBACK');
        throw error;
      }
    },
    [Symbol.dispose]: () => {
      if (database.isOpen) database.close();
    },
  };
}

/** By SQLite's result codes (https://sqlite.org/rescode.html), whose lowest byte is the kind. */
const FAULTS: Readonly<Record<number, readonly [code: ErrorCode, meaning: string]>> = {
  3: ['store-unwritable', 'this user has no permission to use it'],
  5: ['store-in-use', 'another program has it open'],
  6: ['store-in-use', 'another program has it open'],
  8: ['store-unwritable', 'it cannot be written'],
  10: ['store-unwritable', 'the disk failed'],
  11: ['store-damaged', 'its content is damaged'],
  13: ['store-full', 'there is no space left on its file system'],
  14: ['store-unwritable', 'it cannot be opened'],
  26: ['store-damaged', 'it is not a database'],
};

/** SQLite's errors do not contain the file's path. */
function naming<T>(path: string, deed: () => T): T {
  try {
    return deed();
  } catch (error) {
    const [code, meaning] = FAULTS[resultOf(error) & 0xff] ?? [];
    if (code === undefined) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new UpdateError(code, `${path}: ${meaning} (${message}).`, { cause: error });
  }
}

const resultOf = (error: unknown): number =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : 0;
