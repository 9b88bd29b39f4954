/** Which mounts a soft reboot takes along: file systems on disks that the next system would mount in the same way. Pure. */

import { plainPath } from './mount-definitions.ts';

/** What is mounted, and how either system says that it is to be, by mount point. */
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
 * What the next system would be without: the initrd has mounted it, or somebody by hand, and no initrd runs again. What is no disk and
 * lies on another mount is the affair of whoever made it there, such as a container runtime on `/var`.
 */
export function lostMounts({ mountinfo, next }: MountFacts, carried: readonly string[]): string[] {
  const mounts = mountsIn(mountinfo);
  return mounts
    .filter(({ point, isMadeAnew }) => !isMadeAnew && !next.has(point) && !carried.includes(point))
    .filter(({ point, isDisk }) => isDisk || !mounts.some((above) => isBelow(point, above.point)))
    .map(({ point }) => point);
}

/** All that matter here. */
export const mountPoints = (mountinfo: string): string[] => mountsIn(mountinfo).map(({ point }) => point);

type Mount = Readonly<{ point: string; isDisk: boolean; isMadeAnew: boolean }>;

/** The kernel's own and what is made anew by every service manager. `/run` survives by itself. */
const NOT_OURS = ['/proc', '/sys', '/dev', '/run', '/tmp', '/etc/machine-id'];

/** Sorted; the topmost of those at one point. */
function mountsIn(mountinfo: string): Mount[] {
  const found = new Map<string, Mount>();
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const point = plainPath(fields[4] ?? '/');
    if (point === '/' || NOT_OURS.some((one) => point === one || isBelow(point, one))) continue;
    const [type = '', source = ''] = fields.slice(fields.indexOf('-', 6) + 1);
    // A file system without a disk below has the major number 0; btrfs has it too, and is named by its device.
    // Only whole file systems: a part of one that is mounted elsewhere comes from a unit that will do it again.
    const isDisk = fields[3] === '/' && source.startsWith('/dev/') && !source.startsWith('/dev/loop');
    const isMadeAnew = type === 'autofs' || EXTENSIONS.includes(source);
    found.set(point, { point, isDisk, isMadeAnew });
  }
  return [...found.values()].sort((one, two) => (one.point < two.point ? -1 : 1));
}

/** What systemd-sysext lays over the image. */
const EXTENSIONS = ['sysext', 'confext'];

const isBelow = (point: string, above: string): boolean => point.startsWith(`${above}/`);
