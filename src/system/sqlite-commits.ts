/** Group commit: many small changes in one transaction, with one sync. */

import type { Database } from './sqlite.ts';

/**
 * Jobs from the same turn of the event loop share a transaction. `run` produces each job's outcome; if it throws, the jobs run one by one,
 * so that a failing one does not block the others.
 */
export function groupCommits<Job, Outcome>(
  database: Database,
  run: (jobs: readonly Job[]) => readonly Outcome[],
): (job: Job) => Promise<Outcome> {
  let waiting: Waiting<Job, Outcome>[] = [];
  const flush = (): void => {
    const all = waiting;
    waiting = [];
    commit(database, run, all);
  };
  return (job) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ job, resolve, reject }) === 1) setImmediate(flush);
    });
}

type Waiting<Job, Outcome> = Readonly<{ job: Job; resolve(outcome: Outcome): void; reject(error: unknown): void }>;

function commit<Job, Outcome>(
  database: Database,
  run: (jobs: readonly Job[]) => readonly Outcome[],
  all: readonly Waiting<Job, Outcome>[],
): void {
  try {
    const outcomes = database.transaction(() => run(all.map(({ job }) => job)));
    for (const [at, { resolve }] of all.entries()) resolve(outcomes[at] as Outcome);
  } catch (error) {
    if (all.length > 1) for (const one of all) commit(database, run, [one]);
    else for (const { reject } of all) reject(error);
  }
}
