/** The programs that make and read disks, in an environment in which they give the same result on every machine. */

import { join } from 'node:path';
import { statOf } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import type { Context } from '../command.ts';

/** Runs them also for users whose PATH lacks the folders of system programs. `epoch`: the time of what they write; `cwd`: where. */
export function diskTools(
  { exec, env }: Pick<Context, 'exec' | 'env'>,
  { epoch = 0, cwd }: Readonly<{ epoch?: number; cwd?: string }> = {},
): Exec {
  const fixed = {
    PATH: pathOf(env),
    // FAT has local times.
    TZ: 'UTC',
    LC_ALL: 'C.UTF-8',
    SOURCE_DATE_EPOCH: String(Math.max(FAT_EPOCH, epoch)),
    // No settings of this user; and sizes that old tools would refuse.
    MTOOLSRC: '/dev/null',
    MTOOLS_SKIP_CHECK: '1',
  };
  return (program, args, options = {}) =>
    exec(program, args, {
      ...(PACKAGES[program] === undefined ? {} : { package: PACKAGES[program] }),
      ...(cwd === undefined ? {} : { cwd }),
      ...options,
      env: { ...fixed, ...options.env },
    });
}

/** One sentence, without its end, for each program that is not there. */
export async function missingTools({ env }: Pick<Context, 'env'>, programs: readonly string[]): Promise<string[]> {
  const folders = pathOf(env).split(':');
  const found = await Promise.all(
    programs.map(async (program) => {
      const places = await Promise.all(folders.map((folder) => statOf(join(folder, program)).catch(() => undefined)));
      return places.some((stat) => stat?.isFile());
    }),
  );
  const missing = programs.filter((_, index) => !found[index]);
  return missing.map((program) => `${program} is not installed (Debian package ${PACKAGES[program] ?? program})`);
}

const pathOf = (env: Context['env']): string => `${env('PATH') || '/usr/bin:/bin'}:/usr/sbin:/sbin`;

/** 1980: FAT has no earlier times. */
const FAT_EPOCH = 315_532_800;

const PACKAGES: Readonly<Record<string, string>> = {
  sfdisk: 'fdisk',
  'mkfs.vfat': 'dosfstools',
  mcopy: 'mtools',
  mmd: 'mtools',
  mdir: 'mtools',
  mke2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  blockdev: 'util-linux',
  'qemu-img': 'qemu-utils',
  lsblk: 'util-linux',
  partx: 'util-linux',
};
