/** The /var of a new disk: an ext4 file system with the folders of a system, and what its root image lacks. */

import { dirname, join } from 'node:path';
import { makeWritableExt4 } from '../../bundle/image/ext4-tree.ts';
import type { Scratch } from '../../system/disk/scratch.ts';
import type { Exec } from '../../system/process/exec.ts';

/** A file of /var, by its path on the machine. */
export type VarFile = Readonly<{ path: string; bytes: Uint8Array }>;

export type VarOptions = Readonly<{
  /** Runs where `disk` is, by its name. */
  exec: Exec;
  scratch: Scratch;
  signal: AbortSignal;
  /** Its place on the disk. */
  offset: number;
  size: number;
  uuid: string;
  epoch: number;
}>;

/** Makes it in its place on `disk`. */
export async function makeVar(disk: string, files: readonly VarFile[], options: VarOptions): Promise<void> {
  const { scratch, size, offset } = options;
  for (const [path, mode] of FOLDERS) await scratch.makeDir(join(TREE, path), mode);
  for (const { path, bytes } of files) {
    const place = join(TREE, path.slice(MOUNTED.length));
    await scratch.makeDir(dirname(place), 0o755);
    await scratch.writeText(place, [bytes], 0o644);
  }
  const form = { size, offset, label: 'var' };
  await makeWritableExt4(scratch.path(TREE), disk, form, { ...options, owner: 'root' });
}

const TREE = 'var.d';
const MOUNTED = '/var/';

/** What services expect before `systemd-tmpfiles` has run. The state folder has the mode that its tmpfiles line gives it. */
const FOLDERS: readonly (readonly [path: string, mode: number])[] = [
  ['.', 0o755],
  ['cache', 0o755],
  ['lib', 0o755],
  ['lib/tandem', 0o750],
  ['log', 0o755],
  ['spool', 0o755],
  ['tmp', 0o1777],
];
