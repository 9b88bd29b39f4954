/** Builds the file system of the root image from a tree; deterministic. */

import type { Scratch } from '../../system/disk/scratch.ts';
import { statOf } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { derivedUuid } from '../verity.ts';
import { makeExt4 } from './ext4-tree.ts';
import type { Owner } from './owners.ts';

export type RootFormat = 'erofs' | 'ext4';

export type RootImageOptions = Readonly<{
  exec: Exec;
  scratch: Scratch;
  signal: AbortSignal;
  format: RootFormat;
  /** Determines the UUID of the file system. */
  identity: string;
  /** The time of the release, in seconds since the epoch; no file is newer. */
  epoch: number;
  /** The owners of the files: as in the tree, or root. */
  owner: Owner;
}>;

/** Returns the path of an image: `input` itself, or the file system made from it if it is a folder. */
export async function rootImage(input: string, options: RootImageOptions): Promise<string> {
  if (!(await statOf(input))?.isDirectory()) return input;
  const output = options.scratch.path(`root.${options.format}`);
  const uuid = uuidText(options.identity);
  await (options.format === 'erofs' ? makeErofs : makeExt4)(input, output, { ...options, uuid });
  return output;
}

/** No inline tails: they would move with every change of an earlier file; without them, an update shares far more blocks. */
async function makeErofs(
  tree: string,
  output: string,
  { exec, signal, epoch, uuid, owner }: RootImageOptions & Readonly<{ uuid: string }>,
): Promise<void> {
  const ours = owner === 'root' ? ['--all-root'] : [];
  const args = ['--quiet', '-Enoinline_data', `-U${uuid}`, ...ours, output, tree];
  // Only newer files get this time; `-T` would set it for all.
  const env = { SOURCE_DATE_EPOCH: String(epoch) };
  await run(exec, 'mkfs.erofs', args, { signal, env, package: 'erofs-utils' });
}

const uuidText = (identity: string): string =>
  Buffer.from(derivedUuid(`tandem root ${identity}`))
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
