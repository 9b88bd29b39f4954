/** Opens the verity device of a slot beside the running system, and closes whatever still lies over a slot. */

import { UpdateError } from '../../errors.ts';
import { SHA256_PATTERN, type Sha256 } from '../../model.ts';
import { type Exec, run } from '../../system/process/exec.ts';

/** Paths of the partitions of a slot. */
export type SlotDevices = Readonly<{ root: string; verity?: string }>;

/** The name of a device says what it was opened with, so that a system that was started from it knows its own root hash. */
const PREFIX = 'tandem-';

/** The root hash in the name of a device that `openVerity` made. */
export function rootHashOfDevice(path: string): Sha256 | undefined {
  const hash = path.startsWith(`/dev/mapper/${PREFIX}`) ? path.slice(`/dev/mapper/${PREFIX}`.length) : '';
  return SHA256_PATTERN.test(hash) ? (hash as Sha256) : undefined;
}

/** Opens it read-only; returns its path. A damaged block restarts the machine, and so ends a trial. */
export async function openVerity(exec: Exec, { root, verity }: SlotDevices, rootHash: Sha256): Promise<string> {
  if (verity === undefined)
    throw new UpdateError(
      'method-unsafe',
      'The verity tree has no partition of its own, so its place is not known here.',
    );
  const name = `${PREFIX}${rootHash}`;
  await run(exec, 'veritysetup', ['open', '--restart-on-corruption', root, name, verity, rootHash], TOOL);
  return `/dev/mapper/${name}`;
}

/** Closes devices by name; refused by the kernel while one is mounted. */
export async function closeDevices(exec: Exec, names: readonly string[]): Promise<void> {
  for (const name of names) await run(exec, 'veritysetup', ['close', name], TOOL);
}

// Without udev's rules for device-mapper, libdevmapper would wait for udev for ever; with this it makes the nodes itself.
const TOOL = { env: { DM_DISABLE_UDEV: '1' }, timeoutMs: 60_000, package: 'cryptsetup-bin' };
