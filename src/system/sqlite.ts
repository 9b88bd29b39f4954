/** A SQLite database in one file, for one process. The only importer of node:sqlite. */

import { DatabaseSync } from 'node:sqlite';

export type Cell = string | number | null;
export type Row = Readonly<Record<string, Cell>>;

export interface Database extends Disposable {
  run(statement: string, ...values: readonly Cell[]): void;
  rows(statement: string, ...values: readonly Cell[]): Row[];
  /** Runs `work` as one transaction: all of it is durable when this returns, or nothing of it happened. */
  transaction<T>(work: () => T): T;
}

/** Opens or creates it. `durable: false` is for tests that nobody cuts the power of. */
export function openDatabase(path: string, { durable = true }: Readonly<{ durable?: boolean }> = {}): Database {
  const database = new DatabaseSync(path, { timeout: 5000 });
  // In WAL mode only FULL syncs every commit; NORMAL may lose acknowledged ones when the power fails.
  for (const pragma of ['journal_mode = WAL', `synchronous = ${durable ? 'FULL' : 'OFF'}`, 'locking_mode = EXCLUSIVE'])
    database.exec(`PRAGMA ${pragma}`);
  const prepared = new Map<string, ReturnType<DatabaseSync['prepare']>>();
  const prepare = (statement: string) => {
    const known = prepared.get(statement) ?? database.prepare(statement);
    prepared.set(statement, known);
    return known;
  };
  return {
    run: (statement, ...values) => void prepare(statement).run(...values),
    rows: (statement, ...values) => prepare(statement).all(...values) as Row[],
    transaction: (work) => {
      database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        database.exec('COMMIT');
        return result;
      } catch (error) {
        database.exec('ROLLBACK');
        throw error;
      }
    },
    [Symbol.dispose]: () => {
      if (database.isOpen) database.close();
    },
  };
}
