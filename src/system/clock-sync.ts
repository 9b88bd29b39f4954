/** Whether the system clock is synchronized. */

import { attempt, type Exec } from './process/exec.ts';

/** The kernel's state (`STA_UNSYNC` of adjtimex), whatever service corrects it; undefined without systemd. */
export async function isClockSynchronised(exec: Exec): Promise<boolean | undefined> {
  const { exitCode, stdout } = await attempt(exec, 'timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    timeoutMs: PATIENCE_MS,
  });
  const output = stdout.trim();
  return exitCode === 0 && (output === 'yes' || output === 'no') ? output === 'yes' : undefined;
}

/** A publisher must not wait for a bus that does not respond. */
const PATIENCE_MS = 2_000;
