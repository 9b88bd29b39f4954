/** The reboot method `soft`: the kernel keeps running, and everything above it restarts from the other slot. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import { type Files, readText } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { carriedMounts, lostMounts, mountPoints } from './carried-mounts.ts';
import { askToLeave } from './firmware.ts';
import { mountDefinitions } from './mount-definitions.ts';
import { closeDevices, openVerity, type SlotDevices } from './verity-device.ts';

type SoftRebootWorld = Readonly<{
  exec: Exec;
  files: Pick<Files, 'read' | 'list'>;
  /** Whether the path is a folder, without following links. */
  isDir(path: string): Promise<boolean>;
  /** The device-mapper devices over these partitions. */
  holders(devices: SlotDevices): Promise<readonly string[]>;
}>;

/** The first systemd version with soft reboots. */
export const OLDEST_SYSTEMD = 254;
/** Where systemd looks for the next root. */
export const NEXT_ROOT = '/run/nextroot';

/** Mounts the slot where a soft reboot finds it, with its disks below. On failure, everything is undone. */
export async function mountNextRoot(world: SoftRebootWorld, devices: SlotDevices, rootHash: Sha256): Promise<void> {
  const { exec } = world;
  await dropNextRoot(world, devices);
  try {
    const device = await openVerity(exec, devices, rootHash);
    await run(exec, 'mkdir', ['-p', NEXT_ROOT], TOOL);
    await run(exec, 'mount', [...PRIVATE, '-o', 'ro', device, NEXT_ROOT], TOOL);
    await mustSoftReboot(world);
    await carryMounts(world);
  } catch (error) {
    await dropNextRoot(world, devices).catch(() => {});
    throw error;
  }
}

/** Unmounts everything and closes the slot, including a device that an earlier soft reboot left open. */
export async function dropNextRoot(world: SoftRebootWorld, devices: SlotDevices): Promise<void> {
  const { exec, files } = world;
  if (isMounted(await readText(files, '/proc/self/mountinfo'))) await run(exec, 'umount', ['-R', NEXT_ROOT], TOOL);
  // Some versions would take even an empty folder for a root.
  if (await world.isDir(NEXT_ROOT)) await run(exec, 'rmdir', [NEXT_ROOT], TOOL);
  await closeDevices(exec, await world.holders(devices));
}

/** Requests the stop of everything above the kernel and the start of the next root. Returns once systemd has agreed. */
export async function rebootBySoft(exec: Exec): Promise<void> {
  // Its start limit persists across soft reboots; at the limit, the system would stop and stay down. The unit may not be loaded.
  await exec('systemctl', ['reset-failed', 'systemd-soft-reboot.service'], TOOL);
  await askToLeave(exec, 'soft-reboot');
}

const TOOL = { timeoutMs: 60_000, package: 'mount' };
/** Otherwise later mounts below /var would appear in both trees, and unmounting the next root would take them from the running system. */
const PRIVATE = ['--make-private'];

/** The next service manager reads the state that this one hands over, so it must support soft reboots. */
async function mustSoftReboot({ files }: SoftRebootWorld): Promise<void> {
  const lib = join(NEXT_ROOT, 'usr/lib');
  const dirs = (await files.list(lib)).filter((name) => name === 'systemd' || name.endsWith('-linux-gnu'));
  const names = await Promise.all(
    dirs.map((name) => files.list(join(lib, name === 'systemd' ? name : `${name}/systemd`))),
  );
  const [, version] =
    names
      .flat()
      .join('\n')
      .match(/^libsystemd-shared-(\d+)/m) ?? [];
  if (version !== undefined && Number(version) >= OLDEST_SYSTEMD) return;
  const found = version === undefined ? 'no systemd was found in it' : `it has systemd ${version}`;
  throw unsafe(found);
}

const unsafe = (why: string): UpdateError =>
  new UpdateError('method-unsafe', `The next system cannot be started by a soft reboot: ${why}.`);

/** The folder for a nested mount appears only once its parent is mounted, so each is looked up after its parents. */
async function carryMounts(world: SoftRebootWorld): Promise<void> {
  const mountinfo = await readText(world.files, '/proc/self/mountinfo');
  const points = mountPoints(mountinfo);
  const running = await mountDefinitions(world, '/', points);
  const facts = { mountinfo, running, next: await mountDefinitions(world, NEXT_ROOT, points) };
  const carried: string[] = [];
  for (const point of carriedMounts(facts)) {
    const place = join(NEXT_ROOT, point);
    if (!(await world.isDir(place))) continue;
    await run(world.exec, 'mount', ['--bind', ...PRIVATE, point, place], TOOL);
    carried.push(point);
  }
  const lost = lostMounts(facts, carried);
  if (lost.length > 0) throw unsafe(`nothing in it mounts ${lost.slice(0, 3).join(', ')}`);
}

const isMounted = (mountinfo: string): boolean =>
  mountinfo.split('\n').some((line) => line.split(' ')[4] === NEXT_ROOT);
