/** /proc and /sys of a made-up kernel, in a folder. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A disk, a partition below one, or a layer. */
export function device(root: string, name: string, rdev: string, files: Record<string, string | number>): void {
  const dir = join(root, 'sys/devices', name);
  mkdirSync(dir, { recursive: true });
  for (const [file, content] of Object.entries({ dev: rdev, ...files })) writeFileSync(join(dir, file), `${content}\n`);
  link(root, `sys/dev/block/${rdev}`, `sys/devices/${name}`);
}

export function link(root: string, from: string, to: string): void {
  mkdirSync(dirname(join(root, from)), { recursive: true });
  symlinkSync(join(root, to), join(root, from));
}

export function mountinfo(root: string, lines: readonly string[]): void {
  mkdirSync(join(root, 'proc/self'), { recursive: true });
  writeFileSync(join(root, 'proc/self/mountinfo'), `${lines.join('\n')}\n`);
}
