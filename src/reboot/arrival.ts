/** Asks the running system when it had started. */

import type { Clock } from '../system/clock.ts';
import { type Exec, run } from '../system/exec.ts';

/** As `startedAt`, once the system has started; undefined when it takes too long. Ends with the signal's reason. */
export async function awaitStarted(
  exec: Exec,
  clock: Pick<Clock, 'sleep'>,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (let looks = 0; looks < LOOKS; looks++) {
    const found = await startedAt(exec).catch(() => undefined);
    if (found !== undefined) return found;
    await clock.sleep(1_000, signal);
  }
  return undefined;
}

const LOOKS = 120;

/** The kernel's clock when the default target was reached, in milliseconds; undefined while it is not. */
export async function startedAt(exec: Exec): Promise<number | undefined> {
  const args = ['show', '--property=ActiveEnterTimestampMonotonic', '--value', 'default.target'];
  const said = await run(exec, 'systemctl', args, { timeoutMs: 20_000, package: 'systemd' });
  const microseconds = Number(said.trim());
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}
