/** Units that failed before this system started: across a soft reboot, systemd keeps the state of units, `failed` included. */

import type { Files } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { softRootHash } from '../methods/host-facts.ts';

export type LeftOverWorld = Readonly<{ exec: Exec; files: Pick<Files, 'read'> }>;

/** The `units` whose state is older than this system. In doubt, a failure counts as this system's. */
export async function leftOver(
  { exec, files }: LeftOverWorld,
  units: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (units.length === 0) return [];
  // The first system of a kernel is responsible for everything since the kernel started, its initrd included.
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
 * Separates two systems under one kernel: each starts this unit of ours among its first, because it waits for nothing. The manager's own
 * timestamp is slightly earlier, but up to systemd 255 it is that of the kernel's first system.
 */
const TIMER = 'tandem-dead-man.timer';
const STARTED = 'InactiveExitTimestampMonotonic';
const USERSPACE = 'UserspaceTimestampMonotonic';
const CHANGED = 'StateChangeTimestampMonotonic';

/** In microseconds; 0 means never. */
const momentIn = (block: string, key: string): number =>
  Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(block)?.[1] ?? 0);
