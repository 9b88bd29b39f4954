/** The images that every method is measured on: three releases of a real server, each as erofs, ext4 and squashfs, made once and kept. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { rootImage } from '../src/bundle/image/root.ts';
import { createScratch } from '../src/system/disk/scratch.ts';
import { realExec } from '../src/system/process/exec.ts';

export const RELEASES = ['v1', 'v2', 'v3'] as const;
export type Release = (typeof RELEASES)[number];

/** `erofs` and `ext4` as `bundle build` makes them, `squashfs` as other updaters like it. */
export const FORMATS = ['erofs', 'ext4', 'squashfs'] as const;
export type Format = (typeof FORMATS)[number];

const EPOCH = 1_700_000_000;

/** Where the image of a release in a format lies; makes it when it is not there. */
export async function imageOf(release: Release, format: Format): Promise<string> {
  const folder = treeOf(release);
  const path = join(folder, `root-${RECIPE}.${format}`);
  if (!existsSync(path)) await make(folder, format, path);
  return path;
}

/** The folder with tree/ and packages of a release. */
export function treeOf(release: Release): string {
  const known = folders.get(release);
  if (known !== undefined) return known;
  const made = execFileSync(join(import.meta.dirname, 'root'), [release], { stdio: ['ignore', 'pipe', 'inherit'] });
  folders.set(release, made.toString().trim());
  return treeOf(release);
}

/** Asking again would ask apt again, in the middle of a measurement. */
const folders = new Map<Release, string>();

async function make(folder: string, format: Format, path: string): Promise<void> {
  const tree = join(folder, 'tree');
  await using scratch = await createScratch(path);
  const about = {
    exec: realExec,
    scratch,
    signal: new AbortController().signal,
    identity: 'bench',
    epoch: EPOCH,
    owner: 'keep' as const,
  };
  const made =
    format === 'squashfs' ? squashfs(tree, scratch.path('root.squashfs')) : await rootImage(tree, { ...about, format });
  renameSync(made, path);
}

function squashfs(tree: string, output: string): string {
  execFileSync('mksquashfs', [tree, output, ...SQUASHFS], { stdio: ['ignore', 'ignore', 'inherit'] });
  return output;
}

const SQUASHFS = [
  ...['-comp', 'zstd', '-b', '131072', '-noappend', '-no-progress', '-quiet'],
  ...['-mkfs-time', String(EPOCH), '-all-time', String(EPOCH)],
];

/** Changes with the way images are made, so that an old image is never taken for a new one. */
const RECIPE = createHash('sha256')
  .update(readFileSync(join(import.meta.dirname, '../src/bundle/image/root.ts')))
  .update(`${EPOCH} ${SQUASHFS.join(' ')}`)
  .digest('hex')
  .slice(0, 8);

if (import.meta.main)
  for (const format of FORMATS)
    for (const release of RELEASES) console.log(`${release}-${format} ${await imageOf(release, format)}`);
