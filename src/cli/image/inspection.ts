/** The outside world, as the inspection of a disk sees it. */

import type { Scratch } from '../../system/disk/scratch.ts';
import type { Exec } from '../../system/process/exec.ts';

export type Inspection = Readonly<{
  /** Runs in the folder of `scratch`, where the disk is called `disk`. */
  exec: Exec;
  scratch: Scratch;
  signal: AbortSignal;
  isVerifying: boolean;
  /** Called while a slot is verified. */
  told(slot: string, done: number, size: number): void;
}>;
