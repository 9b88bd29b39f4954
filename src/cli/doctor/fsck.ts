/** Whether the FAT partitions of the kernels are checked before they are mounted. */

import type { Config } from '../../config/config.ts';
import { parseFstab } from '../../formats/fstab.ts';
import { kernelPlaces } from './esp.ts';
import { type Finding, ok, unknown, warn } from './finding.ts';
import { type Reading, readText } from './reading.ts';

/** A mount that is not in /etc/fstab has a unit of its own, which is not read here. */
export async function fileSystemCheck({ files }: Readonly<{ files: Reading }>, { boot }: Config): Promise<Finding> {
  const lines = parseFstab((await readText(files, '/etc/fstab')) ?? '');
  const passes = new Map(lines.map(({ path, pass }) => [path, pass]));
  const dirs = kernelPlaces(boot).map(({ dir }) => dir);
  const unchecked = dirs.find((dir) => passes.get(dir) === 0);
  if (unchecked !== undefined)
    return warn(
      `/etc/fstab mounts ${unchecked} without a file system check: ${WHY}.`,
      'Set the last number of its line to 2, and install dosfstools.',
    );
  if (!(await hasProgram(files)))
    return warn(`fsck.vfat is not installed, so nothing is checked: ${WHY}.`, 'Install dosfstools in the image.');
  const unlisted = dirs.find((dir) => !passes.has(dir));
  if (unlisted === undefined) return ok(`${dirs.join(' and ')}: checked before each mount.`);
  return unknown(
    `/etc/fstab does not list ${unlisted}; only its mount unit decides whether it is checked first.`,
    'Check that the unit requires systemd-fsck@.service.',
  );
}

const WHY = 'a power cut may leave a file on FAT under two names, and removing one name then damages the other';

async function hasProgram({ list }: Reading): Promise<boolean> {
  for (const dir of ['/usr/sbin', '/sbin']) if ((await list(dir)).includes('fsck.vfat')) return true;
  return false;
}
