/** Work that shares requests: what comes while a batch is under way goes with the next one. Pure but for the waiting. */

/** Takes jobs in their order, as many at once as weigh no more than `most` together; `run` settles each of them and never fails. */
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

/** At least one: who is too heavy for all goes alone. */
function fittingOf<Job>(jobs: readonly Job[], most: number, weightOf: (job: Job) => number): number {
  let weight = 0;
  const tooMuch = jobs.findIndex((job) => {
    weight += weightOf(job);
    return weight > most;
  });
  return tooMuch === -1 ? jobs.length : Math.max(1, tooMuch);
}
