/** A system's definition of a mount: its fstab line and mount unit. */

import { join } from 'node:path';
import { type Files, readTextIfAny } from '../../system/files.ts';

type MountsWorld = Readonly<{ files: Pick<Files, 'read' | 'list'> }>;

/** The definitions of the system below `root`, by mount point. Equal text means equal mounts. */
export async function mountDefinitions(
  world: MountsWorld,
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

/** The name of systemd's unit for a mount point (systemd.unit(5), "String Escaping for Inclusion in Unit Names"). */
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

/** Both the kernel's files and fstab escape blanks as octal numbers. */
export const plainPath = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** The image's unit directories, highest precedence first. `/run` is shared by both systems. */
const FOLDERS = ['etc/systemd/system', 'usr/lib/systemd/system'] as const;

async function unitWords(world: MountsWorld, root: string, unit: string): Promise<string | undefined> {
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

/** By mount point; lines with single spaces. */
const fstabLines = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words.length > 1 && !words[0]?.startsWith('#'))
      .map((words) => [plainPath(words[1] ?? ''), words.join(' ')]),
  );
