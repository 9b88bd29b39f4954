/** Whether something keeps the clock right. */

import { attempt, type Exec } from './process/exec.ts';

/** What the kernel says (`STA_UNSYNC` of adjtimex), whoever corrects it; undefined where systemd is not there to ask. */
export async function isClockSynchronised(exec: Exec): Promise<boolean | undefined> {
  const { exitCode, stdout } = await attempt(exec, 'timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    timeoutMs: PATIENCE_MS,
  });
  const said = stdout.trim();
  return exitCode === 0 && (said === 'yes' || said === 'no') ? said === 'yes' : undefined;
}

/** Whoever publishes is not kept waiting for a bus that does not answer. */
const PATIENCE_MS = 2_000;
