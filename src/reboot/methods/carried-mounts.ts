/** Which mounts a soft reboot takes along: file systems on disks that the next system would mount in the same way. Pure. */

type Mount = Readonly<{ point: string; isDisk: boolean }>;

/** What the running system says, and the two fstab files. `exists`: folders of the next root. */
export type MountFacts = Readonly<{
  mountinfo: string;
  runningFstab: string;
  nextFstab: string;
  exists(point: string): boolean;
}>;

/** Mount points, parents before children. */
export function carriedMounts({ mountinfo, runningFstab, nextFstab, exists }: MountFacts): string[] {
  const mounts = mountsIn(mountinfo);
  const [before, after] = [fstabLines(runningFstab), fstabLines(nextFstab)];
  const isCarried = ({ point, isDisk }: Mount): boolean =>
    isDisk && before.get(point) === after.get(point) && exists(point);
  const left = mounts.filter((mount) => !isCarried(mount)).map(({ point }) => point);
  return mounts
    .filter((mount) => isCarried(mount) && !left.some((above) => mount.point.startsWith(`${above}/`)))
    .map(({ point }) => point);
}

/** The kernel's own and what is made anew by every system. `/run` survives by itself. */
const NOT_OURS = ['/proc', '/sys', '/dev', '/run', '/tmp'];

/** Sorted; the topmost of those at one point. */
function mountsIn(mountinfo: string): Mount[] {
  const found = new Map<string, Mount>();
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const point = plain(fields[4] ?? '/');
    if (point === '/' || NOT_OURS.some((dir) => point === dir || point.startsWith(`${dir}/`))) continue;
    // A file system without a disk below has the major number 0; btrfs has it too, and is named by its device.
    const source = fields[fields.indexOf('-', 6) + 2] ?? '';
    // Only whole file systems: a part of one that is mounted elsewhere comes from a unit that will do it again.
    const isWhole = fields[3] === '/';
    found.set(point, { point, isDisk: isWhole && source.startsWith('/dev/') && !source.startsWith('/dev/loop') });
  }
  return [...found.values()].sort((one, two) => (one.point < two.point ? -1 : 1));
}

/** By mount point, each line with single spaces. */
const fstabLines = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words.length > 1 && !words[0]?.startsWith('#'))
      .map((words) => [plain(words[1] ?? ''), words.join(' ')]),
  );

/** Both files write blanks as octal numbers. */
const plain = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
