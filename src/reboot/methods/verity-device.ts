/** Opens a slot's verity device next to the running system, and closes devices that still lie over a slot. */

import { UpdateError } from '../../errors.ts';
import { SHA256_PATTERN, type Sha256 } from '../../model.ts';
import { type Exec, run } from '../../system/process/exec.ts';

/** The partitions of a slot, as paths. */
export type SlotDevices = Readonly<{ root: string; verity?: string }>;

/** The device name contains the root hash, so that a system started from it knows its own. */
const PREFIX = 'tandem-';

/** The root hash in the name of a device made by `openVerity`. */
export function rootHashOfDevice(path: string): Sha256 | undefined {
  const hash = path.startsWith(`/dev/mapper/${PREFIX}`) ? path.slice(`/dev/mapper/${PREFIX}`.length) : '';
  return SHA256_PATTERN.test(hash) ? (hash as Sha256) : undefined;
}

/** Opens the device read-only; returns its path. A corrupted block restarts the machine, which ends a trial. */
export async function openVerity(exec: Exec, { root, verity }: SlotDevices, rootHash: Sha256): Promise<string> {
  if (verity === undefined)
    throw new UpdateError(
      'method-unsafe',
      'The verity tree has no partition of its own, so its location is not known here.',
    );
  const name = `${PREFIX}${rootHash}`;
  await run(exec, 'veritysetup', ['open', '--restart-on-corruption', root, name, verity, rootHash], TOOL);
  return `/dev/mapper/${name}`;
}

/** Closes devices by name; the kernel refuses while one is mounted. */
export async function closeDevices(exec: Exec, names: readonly string[]): Promise<void> {
  for (const name of names) await run(exec, 'veritysetup', ['close', name], TOOL);
}

// Without udev's device-mapper rules, libdevmapper would wait for udev forever; with this it creates the nodes itself.
const TOOL = { env: { DM_DISABLE_UDEV: '1' }, timeoutMs: 60_000, package: 'cryptsetup-bin' };
