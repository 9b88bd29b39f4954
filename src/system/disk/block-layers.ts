/** The kernel's layers between a file system and its disk, read from /sys under a given root. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A layer that moves or transforms a partition's bytes. */
export type Layer = Readonly<{ rdev: string; kind: string }>;

/** The layers below a device, except dm-verity, which leaves bytes unchanged. */
export async function layersOf(root: string, rdev: string, depth = 0): Promise<readonly Layer[]> {
  const below = await devicesBelow(root, rdev);
  if (below.length === 0 || depth === MAX_LAYERS) return [];
  const kind = await kindOf(root, rdev);
  const deeper = await Promise.all(below.map((each) => layersOf(root, each, depth + 1)));
  return [...(kind === undefined ? [] : [{ rdev, kind }]), ...deeper.flat()];
}

/** The devices directly below one; none for a disk and its partitions. */
export async function devicesBelow(root: string, rdev: string): Promise<readonly string[]> {
  const slaves = join(root, 'sys/dev/block', rdev, 'slaves');
  const names = await readdir(slaves).catch(() => []);
  const numbers = await Promise.all(names.sort().map((name) => readLine(join(slaves, name, 'dev'))));
  return numbers.filter((each) => each !== undefined);
}

/** All of them, recursively. */
export async function allBelow(root: string, rdev: string, depth = 0): Promise<readonly string[]> {
  const below = depth < MAX_LAYERS ? await devicesBelow(root, rdev) : [];
  return [...below, ...(await Promise.all(below.map((each) => allBelow(root, each, depth + 1)))).flat()];
}

const MAX_LAYERS = 8;

/** By the name prefixes of the tools that create device-mapper devices. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/^CRYPT-(?!VERITY-)/, 'an encrypted device'],
  [/^LVM-/, 'a volume of LVM'],
  [/^(part\d+-)?mpath-/, 'a multipath device'],
  [/^(part\d+-)?DMRAID-/, 'a RAID array'],
];

async function kindOf(root: string, rdev: string): Promise<string | undefined> {
  const dir = join(root, 'sys/dev/block', rdev);
  const uuid = (await readLine(join(dir, 'dm/uuid'))) ?? '';
  const isArray = (await readdir(join(dir, 'md')).catch(() => [])).length > 0;
  return isArray ? 'a RAID array' : KINDS.find(([pattern]) => pattern.test(uuid))?.[1];
}

const readLine = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
