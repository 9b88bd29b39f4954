/** The mounts that a soft reboot carries over: disk file systems that the next system would mount in the same way. Pure. */

import { plainPath } from './mount-definitions.ts';

/** The current mounts, and both systems' definitions of them, by mount point. */
export type MountFacts = Readonly<{
  mountinfo: string;
  running: ReadonlyMap<string, string>;
  next: ReadonlyMap<string, string>;
}>;

/** Mount points, parents before children. */
export function carriedMounts({ mountinfo, running, next }: MountFacts): string[] {
  const mounts = mountsIn(mountinfo);
  const isCarried = ({ point, isDisk }: Mount): boolean => isDisk && running.get(point) === next.get(point);
  const left = mounts.filter((mount) => !isCarried(mount)).map(({ point }) => point);
  return mounts
    .filter((mount) => isCarried(mount) && !left.some((above) => isBelow(mount.point, above)))
    .map(({ point }) => point);
}

/**
 * Mounts that the next system would lack: made by the initrd, which does not run again, or by hand. Virtual file systems on other mounts
 * belong to their creators, such as a container runtime on `/var`.
 */
export function lostMounts({ mountinfo, next }: MountFacts, carried: readonly string[]): string[] {
  const mounts = mountsIn(mountinfo);
  return mounts
    .filter(({ point, isMadeAnew }) => !isMadeAnew && !next.has(point) && !carried.includes(point))
    .filter(({ point, isDisk }) => isDisk || !mounts.some((above) => isBelow(point, above.point)))
    .map(({ point }) => point);
}

/** All relevant mounts. */
export const mountPoints = (mountinfo: string): string[] => mountsIn(mountinfo).map(({ point }) => point);

type Mount = Readonly<{ point: string; isDisk: boolean; isMadeAnew: boolean }>;

/** The kernel's own, and those that every service manager makes again. `/run` survives by itself. */
const NOT_OURS = ['/proc', '/sys', '/dev', '/run', '/tmp', '/etc/machine-id'];

/** Sorted; the topmost one at each point. */
function mountsIn(mountinfo: string): Mount[] {
  const found = new Map<string, Mount>();
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const point = plainPath(fields[4] ?? '/');
    if (point === '/' || NOT_OURS.some((one) => point === one || isBelow(point, one))) continue;
    const [type = '', source = ''] = fields.slice(fields.indexOf('-', 6) + 1);
    // A file system without a disk has the major number 0; btrfs has it too, and is recognised by its device. Only whole file systems: a
    // bind mount of a part comes from a unit, which will make it again.
    const isDisk = fields[3] === '/' && source.startsWith('/dev/') && !source.startsWith('/dev/loop');
    const isMadeAnew = type === 'autofs' || EXTENSIONS.includes(source);
    found.set(point, { point, isDisk, isMadeAnew });
  }
  return [...found.values()].sort((one, two) => (one.point < two.point ? -1 : 1));
}

/** The overlays of systemd-sysext. */
const EXTENSIONS = ['sysext', 'confext'];

const isBelow = (point: string, above: string): boolean => point.startsWith(`${above}/`);
