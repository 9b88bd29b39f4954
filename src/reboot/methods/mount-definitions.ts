/** How a system mounts at a point, in the words of its own files: the line in fstab and the mount unit. */

import { join } from 'node:path';
import { type Files, readTextIfAny } from '../../system/files.ts';

type World = Readonly<{ files: Pick<Files, 'read' | 'list'> }>;

/** By mount point, for those that the system below `root` says something about. Equal words are equal mounts. */
export async function mountDefinitions(
  world: World,
  root: string,
  points: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const lines = fstabLines((await readTextIfAny(world.files, join(root, 'etc/fstab'))) ?? '');
  const found = new Map<string, string>();
  for (const point of points) {
    const unit = await unitWords(world, root, mountUnit(point));
    const words = [lines.get(point), unit].filter((one) => one !== undefined && one !== '');
    if (words.length > 0) found.set(point, words.join('\n'));
  }
  return found;
}

/** The name that systemd has for what is mounted there (systemd.unit(5), "String Escaping for Inclusion in Unit Names"). */
export function mountUnit(point: string): string {
  const path = point.split('/').filter(Boolean).join('/');
  if (path === '') return '-.mount';
  const escaped = [...new TextEncoder().encode(path)].map((byte, index) => {
    const char = String.fromCharCode(byte);
    if (char === '/') return '-';
    const isPlain = /[A-Za-z0-9:_.]/.test(char) && !(index === 0 && char === '.');
    return isPlain ? char : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return `${escaped.join('')}.mount`;
}

/** Both files of the kernel and fstab write blanks as octal numbers. */
export const plainPath = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Where units of the image lie; what counts first comes first. `/run` is the same for both systems. */
const FOLDERS = ['etc/systemd/system', 'usr/lib/systemd/system'] as const;

async function unitWords(world: World, root: string, unit: string): Promise<string | undefined> {
  const files = await Promise.all(FOLDERS.map((dir) => readTextIfAny(world.files, join(root, dir, unit))));
  const main = files.find((text) => text !== undefined);
  if (main === undefined) return undefined;
  const words = [main];
  for (const dir of FOLDERS) {
    const dropIns = join(root, dir, `${unit}.d`);
    for (const name of (await world.files.list(dropIns)).toSorted())
      words.push((await readTextIfAny(world.files, join(dropIns, name))) ?? '');
  }
  return words.join('\n').trim();
}

/** By mount point, each line with single spaces. */
const fstabLines = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words.length > 1 && !words[0]?.startsWith('#'))
      .map((words) => [plainPath(words[1] ?? ''), words.join(' ')]),
  );
