/** Calendar schedules: the only importer of node-cron. */

import { createTask, validate } from 'node-cron';
import { UpdateError } from '../errors.ts';

export interface Schedule extends Disposable {
  /** The next moment the schedule names. */
  next(): Date | undefined;
}

/** Calls `onDue` at each moment that a cron expression names, in UTC. */
export function startSchedule(expression: string, onDue: () => void): Schedule {
  if (!validate(expression)) throw new UpdateError('config-invalid', `“${expression}” is not a cron expression.`);
  const task = createTask(expression, onDue, { timezone: 'Etc/UTC' });
  void task.start();
  return {
    next: () => task.getNextRun() ?? undefined,
    [Symbol.dispose]: () => void task.destroy(),
  };
}
