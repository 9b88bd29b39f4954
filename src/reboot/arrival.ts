/** Asks the running system when it had started. */

import { type Exec, run } from '../system/exec.ts';

/** The kernel's clock when the default target was reached, in milliseconds; undefined while it is not. */
export async function startedAt(exec: Exec): Promise<number | undefined> {
  const args = ['show', '--property=ActiveEnterTimestampMonotonic', '--value', 'default.target'];
  const said = await run(exec, 'systemctl', args, { timeoutMs: 20_000, package: 'systemd' });
  const microseconds = Number(said.trim());
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}
