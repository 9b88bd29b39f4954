/** Which units failed before this system started: over a soft reboot systemd keeps what it knows of them, and “failed” is part of that. */

import type { Files } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { softRootHash } from '../methods/host-facts.ts';

export type LeftOverWorld = Readonly<{ exec: Exec; files: Pick<Files, 'read'> }>;

/** Those of `units` whose state is older than this system. What cannot be told counts as this system's. */
export async function leftOver(
  { exec, files }: LeftOverWorld,
  units: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (units.length === 0) return [];
  // A kernel's first system answers for everything since the kernel started, so for its initrd as well.
  if ((await softRootHash(files)) === undefined) return [];
  const options = { signal, timeoutMs: 20_000, package: 'systemd' };
  const show = (...args: string[]): Promise<string> => run(exec, 'systemctl', ['show', ...args], options);
  const [timer = '', ...states] = (await show(`--property=${CHANGED},${STARTED}`, '--', TIMER, ...units)).split(
    /\n\n+/,
  );
  const began = Math.max(momentIn(timer, STARTED), momentIn(await show(`--property=${USERSPACE}`), USERSPACE));
  return units.filter((_, index) => {
    const changed = momentIn(states[index] ?? '', CHANGED);
    return changed > 0 && changed < began;
  });
}

/**
 * What parts two systems under one kernel: each starts this unit of ours among its first, since it waits for nothing. The manager's own
 * moment is a little earlier and does not need the unit, but up to systemd 255 it is that of the kernel's first system.
 */
const TIMER = 'tandem-dead-man.timer';
const STARTED = 'InactiveExitTimestampMonotonic';
const USERSPACE = 'UserspaceTimestampMonotonic';
const CHANGED = 'StateChangeTimestampMonotonic';

/** In microseconds; 0 is never. */
const momentIn = (block: string, key: string): number =>
  Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(block)?.[1] ?? 0);
