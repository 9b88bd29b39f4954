/** Batches jobs: those that arrive during a batch go into the next one. Pure except for waiting. */

/** Runs jobs in order, as many per batch as weigh at most `most` together; `run` settles each of them and never throws. */
export function inBatches<Job>(
  most: number,
  weightOf: (job: Job) => number,
  run: (jobs: readonly Job[]) => Promise<void>,
): (job: Job) => void {
  let waiting: Job[] = [];
  let isBusy = false;
  const work = async (): Promise<void> => {
    isBusy = true;
    while (waiting.length > 0) {
      const fitting = fittingOf(waiting, most, weightOf);
      const batch = waiting.slice(0, fitting);
      waiting = waiting.slice(fitting);
      await run(batch);
    }
    isBusy = false;
  };
  return (job) => {
    waiting.push(job);
    if (!isBusy) void work();
  };
}

/** At least one: a job that is too heavy goes alone. */
function fittingOf<Job>(jobs: readonly Job[], most: number, weightOf: (job: Job) => number): number {
  let weight = 0;
  const tooMuch = jobs.findIndex((job) => {
    weight += weightOf(job);
    return weight > most;
  });
  return tooMuch === -1 ? jobs.length : Math.max(1, tooMuch);
}
