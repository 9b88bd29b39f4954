/** The reboot method `soft`: the running kernel stays, and everything above it starts anew from the other slot. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import { type Files, readText } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { carriedMounts, lostMounts, mountPoints } from './carried-mounts.ts';
import { askToLeave } from './firmware.ts';
import { mountDefinitions } from './mount-definitions.ts';
import { closeDevices, openVerity, type SlotDevices } from './verity-device.ts';

type World = Readonly<{
  exec: Exec;
  files: Pick<Files, 'read' | 'list'>;
  /** Whether that is a folder, and not by way of a link. */
  isDir(path: string): Promise<boolean>;
  /** Names of the devices that device-mapper has over these partitions. */
  holders(devices: SlotDevices): Promise<readonly string[]>;
}>;

/** The first systemd that can soft-reboot. */
export const OLDEST_SYSTEMD = 254;
/** Where systemd looks for the next root. */
export const NEXT_ROOT = '/run/nextroot';

/** Mounts the slot where a soft reboot finds it, with the disks it needs below. After a failure nothing of it is left. */
export async function mountNextRoot(world: World, devices: SlotDevices, rootHash: Sha256): Promise<void> {
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

/** Takes it all back, and lets go of the slot: an earlier soft reboot may have left the device of its old root open. */
export async function dropNextRoot(world: World, devices: SlotDevices): Promise<void> {
  const { exec, files } = world;
  if (isMounted(await readText(files, '/proc/self/mountinfo'))) await run(exec, 'umount', ['-R', NEXT_ROOT], TOOL);
  // Even an empty folder would be taken for a root by some.
  if (await world.isDir(NEXT_ROOT)) await run(exec, 'rmdir', [NEXT_ROOT], TOOL);
  await closeDevices(exec, await world.holders(devices));
}

/** Asks the system to stop everything above the kernel and start the next root. Returns when it has agreed. */
export async function rebootBySoft(exec: Exec): Promise<void> {
  // Its start limit survives soft reboots; at the limit the system would stop and then stay as it is. It may not be loaded at all.
  await exec('systemctl', ['reset-failed', 'systemd-soft-reboot.service'], TOOL);
  await askToLeave(exec, 'soft-reboot');
}

const TOOL = { timeoutMs: 60_000, package: 'mount' };
/** Else what is mounted below /var from now on would appear in both, and taking down the next root would take it from the running system. */
const PRIVATE = ['--make-private'];

/** The next service manager reads what this one hands over, so it must know soft reboots itself. */
async function mustSoftReboot({ files }: World): Promise<void> {
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

/** A disk below another has its folder there only once that is mounted, so each is looked for when its parents are done. */
async function carryMounts(world: World): Promise<void> {
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
