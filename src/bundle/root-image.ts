/** Makes the file system of the root image from a tree: the same tree gives the same bytes. */

import { UpdateError } from '../errors.ts';
import { type Exec, run } from '../system/exec.ts';
import { statOf } from '../system/files.ts';
import type { Scratch } from '../system/scratch.ts';
import { walkTree } from '../system/tree-walk.ts';
import { derivedUuid } from './verity.ts';

export type RootFormat = 'erofs' | 'ext4';

export type RootImageOptions = Readonly<{
  exec: Exec;
  scratch: Scratch;
  signal: AbortSignal;
  format: RootFormat;
  /** Decides the UUID of the file system. */
  identity: string;
  /** The time of every file, in seconds since 1970. */
  epoch: number;
}>;

/** The path of an image: `input` itself, or the file system made from it when it is a folder. */
export async function rootImage(input: string, options: RootImageOptions): Promise<string> {
  if (!(await statOf(input))?.isDirectory()) return input;
  const output = options.scratch.path(`root.${options.format}`);
  await (options.format === 'erofs' ? makeErofs : makeExt4)(input, output, options);
  return output;
}

/** Inline tails would move with every change of a file before them: without them an update shares far more blocks. */
async function makeErofs(
  tree: string,
  output: string,
  { exec, signal, epoch, identity }: RootImageOptions,
): Promise<void> {
  const args = ['--quiet', '-Enoinline_data', `-T${epoch}`, `-U${uuidText(identity)}`, output, tree];
  await run(exec, 'mkfs.erofs', args, { signal, package: 'erofs-utils' });
}

async function makeExt4(tree: string, output: string, options: RootImageOptions): Promise<void> {
  const { exec, signal, scratch } = options;
  const { inodes, bytes } = await measure(tree);
  const uuid = uuidText(options.identity);
  // Zero is no time for mke2fs: it would take the present.
  const epoch = Math.max(1, options.epoch);
  const tool = { signal, package: 'e2fsprogs', env: { E2FSPROGS_FAKE_TIME: String(epoch) } };
  await run(
    exec,
    'mke2fs',
    [
      ...['-q', '-t', 'ext4', '-b', '4096', '-m', '0', '-O', '^has_journal', '-U', uuid, '-N', String(inodes)],
      ...['-E', `hash_seed=${uuid},root_owner=0:0`, '-d', tree, output, `${ext4Kilobytes(inodes, bytes)}k`],
    ],
    tool,
  );
  // `mke2fs -d` keeps the times at which the files were made and last read.
  const script = scratch.path('times.debugfs');
  await scratch.writeText('times.debugfs', timesScript(tree, epoch));
  await run(exec, 'debugfs', ['-w', '-f', script, output], tool);
}

async function measure(tree: string): Promise<{ inodes: number; bytes: number }> {
  let inodes = 64;
  let bytes = 0;
  for await (const entry of walkTree(tree)) {
    inodes += 1;
    bytes += Math.ceil((entry.size + 1) / 4096) * 4096;
  }
  return { inodes, bytes };
}

/** Room for the data, the inodes (256 bytes each) and the rest of the file system's own blocks; zeros travel for nothing. */
const ext4Kilobytes = (inodes: number, bytes: number): number =>
  Math.ceil((bytes * 1.03 + inodes * 320) / 4096) * 4 + 16 * 1024;

async function* timesScript(tree: string, epoch: number): AsyncGenerator<string> {
  for await (const { path } of walkTree(tree)) {
    if (/["\n]/.test(path))
      throw new UpdateError('usage', `${path}: an ext4 image cannot take a file of such a name; use erofs.`);
    for (const field of ['atime', 'ctime', 'mtime']) yield `set_inode_field "/${path}" ${field} @${epoch}\n`;
  }
}

const uuidText = (identity: string): string =>
  Buffer.from(derivedUuid(`tandem root ${identity}`))
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
