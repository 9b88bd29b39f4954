/** Group commit: many small changes, one sync of the disk. */

import type { Database } from './sqlite.ts';

/** Runs work in transactions that all share which ask in the same turn of the event loop. Work that throws is undone by itself; the rest goes on. */
export function groupCommits(database: Database): (run: () => void) => Promise<void> {
  let waiting: Job[] = [];
  const flush = (): void => {
    const jobs = waiting;
    waiting = [];
    const outcomes = commitAll(database, jobs);
    for (const [at, { done }] of jobs.entries()) done(outcomes[at]);
  };
  return (run) =>
    new Promise((resolve, reject) => {
      const done = (error?: unknown): void => (error === undefined ? resolve() : reject(error));
      if (waiting.push({ run, done }) === 1) setImmediate(flush);
    });
}

type Job = Readonly<{ run: () => void; done: (error?: unknown) => void }>;

/** The error of each job; all have the same one when the disk did not take the transaction. */
function commitAll(database: Database, jobs: readonly Job[]): unknown[] {
  try {
    return database.transaction(() => jobs.map(({ run }) => savedPoint(database, run)));
  } catch (error) {
    return jobs.map(() => error);
  }
}

function savedPoint(database: Database, run: () => void): unknown {
  database.run('SAVEPOINT one');
  try {
    run();
    database.run('RELEASE one');
    return undefined;
  } catch (error) {
    database.run('ROLLBACK TO one');
    database.run('RELEASE one');
    return error ?? new Error('unknown');
  }
}
