/** The FAT partitions that hold kernels and boot flags: whether they are mounted, and safe from a power cut. */

import { dirname } from 'node:path';
import type { Config } from '../../config/config.ts';
import type { BackendName } from '../../model.ts';
import { freeSpace } from '../../system/files.ts';
import { bytes } from '../units.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { mountOf } from './mount-table.ts';
import type { Reading } from './reading.ts';

type Boot = Config['boot'];
type EspWorld = Readonly<{ files: Reading }>;

export async function kernelPartitions({ files }: EspWorld, { boot }: Config): Promise<Finding> {
  const places = kernelPlaces(boot);
  const dirs = places.map(({ dir }) => dir);
  for (const { dir, key } of places) {
    const wrong = await mountFault(files, dir, key);
    if (wrong) return wrong;
  }
  for (const dir of [...dirs, ...flagFolders(boot)]) {
    const wrong = await syncFault(files, dir);
    if (wrong) return wrong;
  }
  return room(dirs);
}

/** Their mount points, and the keys that set them. */
export const kernelPlaces = (boot: Boot): readonly Place[] => PLACES[boot.backend].kernels(boot);

const flagFolders = (boot: Boot): readonly string[] => PLACES[boot.backend].flags(boot);

type Place = Readonly<{ dir: string; key: string }>;
/** `flags`: folders with boot flags in files, perhaps on partitions of their own. */
type Places = Readonly<{ kernels(boot: Boot): readonly Place[]; flags(boot: Boot): readonly string[] }>;

const ON_ESP: Places = { kernels: ({ esp }) => [{ dir: esp, key: 'boot.esp' }], flags: () => [] };

const PLACES: Readonly<Record<BackendName, Places>> = {
  'systemd-boot': ON_ESP,
  grub: { ...ON_ESP, flags: ({ grubEnvironment }) => [dirname(grubEnvironment)] },
  uboot: ON_ESP,
  'efi-variables': ON_ESP,
  gpt: ON_ESP,
  // A Raspberry Pi has no ESP: each slot has a boot partition.
  tryboot: {
    kernels: ({ trybootADir, trybootBDir }) => [
      { dir: trybootADir, key: 'boot.tryboot_a_dir' },
      { dir: trybootBDir, key: 'boot.tryboot_b_dir' },
    ],
    flags: ({ trybootDir }) => [trybootDir],
  },
  program: ON_ESP,
};

/** Room for two kernels of the usual size, which must fit on the ESP at once. */
const ROOM = 128e6;

async function mountFault(files: Reading, dir: string, key: string): Promise<Finding | undefined> {
  const mount = await mountOf(files, dir);
  if (mount?.path !== dir)
    return fail(`Nothing is mounted on ${dir}.`, `Mount the partition for kernels there, or set ${key}.`);
  if (mount.type !== 'vfat') return fail(`${dir} holds ${mount.type}, not vfat.`, 'The firmware reads only FAT.');
  return mount.readOnly ? fail(`${dir} is mounted read-only.`, 'Mount it writable.') : undefined;
}

/** Only this mount option makes a rename on FAT write the new name before it removes the old one. */
async function syncFault(files: Reading, dir: string): Promise<Finding | undefined> {
  const mount = await mountOf(files, dir);
  if (mount?.type !== 'vfat' || SYNCED.some((option) => mount.options.includes(option))) return undefined;
  return warn(
    `${mount.path} is mounted without dirsync: a power cut during a rename may leave the file without any name.`,
    'Add dirsync to its options in /etc/fstab, unmount it and mount it again; a remount does not change this.',
  );
}

const SYNCED = ['dirsync', 'sync'];

/** Reported for the partition with the least free space. */
async function room(dirs: readonly string[]): Promise<Finding> {
  const rooms = await Promise.all(dirs.map(async (dir) => ({ dir, free: await freeSpace(dir) })));
  const { dir, free } = rooms.reduce((least, one) => (one.free < least.free ? one : least));
  if (free < ROOM) return warn(`Only ${bytes(free)} free on ${dir}.`, 'A second kernel image must fit.');
  return ok(`${bytes(free)} free on ${dir}.`);
}
