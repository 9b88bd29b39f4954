/** Builds an ext4 image from a tree, file by file in name order; `mke2fs -d` would use the order in which the folder happens to be listed. */

import { createHash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import type { Scratch } from '../../system/disk/scratch.ts';
import { linkTarget, placeOf, shownPath, type TreeEntry, topOf, walkTree } from '../../system/disk/tree-walk.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { type Attribute, attributesOf } from './attributes.ts';
import { type Owner, withOwners } from './owners.ts';

export type Ext4Options = Readonly<{
  exec: Exec;
  scratch: Scratch;
  signal: AbortSignal;
  uuid: string;
  /** The time of the release, in seconds since the epoch; no file is newer. */
  epoch: number;
  owner: Owner;
}>;

/** A read-only image: no journal, and no more room than the tree needs. */
export async function makeExt4(tree: string, output: string, options: Ext4Options): Promise<void> {
  const { exec, signal } = options;
  const entries = await withOwners(exec, tree, await entriesOf(tree), signal);
  const attributes = await attributesOf(exec, tree, entries, signal);
  const { inodes, kilobytes } = sizeOf(entries, attributes.size);
  const form = ['-m', '0', '-O', '^has_journal', '-N', String(inodes)];
  await makeEmpty(output, kilobytes, { form }, options);
  await fill(tree, output, { entries, attributes }, options);
}

/** Where a file system is in a disk or an image of one. */
export type Place = Readonly<{ size: number; offset: number; label: string }>;

/** A file system to write to, with the files of the tree; every file has the time of the release. */
export async function makeWritableExt4(
  tree: string,
  output: string,
  { size, offset, label }: Place,
  options: Ext4Options,
): Promise<void> {
  const entries = (await entriesOf(tree)).map((entry) => ({ ...entry, mtime: options.epoch }));
  const more = `offset=${offset},nodiscard`;
  await makeEmpty(output, size / 1024, { form: ['-F', '-L', label], more }, options);
  await fill(tree, `${output}?offset=${offset}`, { entries, attributes: new Map() }, options);
}

type Content = Readonly<{ entries: readonly TreeEntry[]; attributes: Attributes }>;

async function fill(
  tree: string,
  output: string,
  { entries, attributes }: Content,
  options: Ext4Options,
): Promise<void> {
  const { exec, scratch } = options;
  await scratch.writeText(SCRIPT, commands(tree, entries, attributes, options));
  const { exitCode, stderr } = await exec('debugfs', ['-w', '-f', scratch.path(SCRIPT), output], toolOf(options));
  // debugfs prints its version to stderr, and continues after failed commands.
  const faults = stderr.split('\n').filter((line) => line !== '' && !/^debugfs \d/.test(line));
  if (exitCode !== 0 || faults.length > 0)
    throw new UpdateError('tool-failed', `debugfs: ${faults.slice(0, 5).join('; ') || `status ${exitCode}`}`);
}

const SCRIPT = 'tree.debugfs';

/** Parents first. Sockets are skipped: they belong to running programs. */
async function entriesOf(tree: string): Promise<TreeEntry[]> {
  const entries = [await topOf(tree)];
  for await (const entry of walkTree(tree)) {
    mustBeOneLine(entry.path, shownPath(tree, entry.path));
    if (entry.kind !== 'socket') entries.push(entry);
  }
  return entries;
}

/** debugfs takes one command per line. */
function mustBeOneLine(text: string, path: string): void {
  if (/[\r\n]/.test(text))
    throw new UpdateError(
      'name-unsupported',
      `${path}: an ext4 image cannot take a name with a line break; use erofs.`,
    );
}

type Size = Readonly<{ inodes: number; kilobytes: number }>;

/** Room for the data, inodes (256 bytes each), attributes and metadata; unused zeros cost no transfer. */
function sizeOf(entries: readonly TreeEntry[], attributes: number): Size {
  const inodes = 64 + entries.length;
  // The size of a folder here does not predict its size there.
  const roomOf = ({ kind, size }: TreeEntry): number =>
    NAME + Math.ceil((kind === 'folder' ? 4096 : size + 1) / 4096) * 4096;
  const bytes = entries.reduce((sum, entry) => sum + roomOf(entry), attributes * 4096);
  return { inodes, kilobytes: Math.ceil((bytes * 1.03 + inodes * 320) / 4096) * 4 + 16 * 1024 };
}

/** The most bytes of a name in a folder. */
const NAME = 264;

async function makeEmpty(
  output: string,
  kilobytes: number,
  { form, more }: Readonly<{ form: readonly string[]; more?: string }>,
  options: Ext4Options,
): Promise<void> {
  const { exec, uuid } = options;
  // mke2fs takes only the last -E.
  const extended = [`hash_seed=${uuid}`, ...(more === undefined ? [] : [more])].join(',');
  const usual = ['-q', '-t', 'ext4', '-b', '4096', '-U', uuid, '-E', extended];
  await run(exec, 'mke2fs', [...usual, ...form, output, `${kilobytes}k`], toolOf(options));
}

const toolOf = ({ signal, epoch }: Ext4Options) => ({
  signal,
  package: 'e2fsprogs',
  env: { E2FSPROGS_FAKE_TIME: String(timeOf(epoch)) },
});

/** These programs take zero as “unset”, and would use the present. */
const timeOf = (seconds: number): number => Math.max(1, seconds);

type Attributes = ReadonlyMap<TreeEntry, readonly Attribute[]>;

/** The debugfs commands, in `latin1`, because names are bytes. */
async function* commands(
  tree: string,
  entries: readonly TreeEntry[],
  attributes: Attributes,
  options: Ext4Options,
): AsyncGenerator<Uint8Array> {
  const files = new Map<string, { path: string; names: number }>();
  for (const entry of entries) {
    const file = entry.kind === 'folder' ? undefined : files.get(entry.inode);
    const at = [`cd ${quoted(`/${entry.path.slice(0, Math.max(0, entry.path.lastIndexOf('/')))}`)}`];
    if (file) {
      file.names += 1;
      yield lines([...at, `ln ${quoted(`/${file.path}`)} ${nameOf(entry)}`]);
      continue;
    }
    files.set(entry.inode, { path: entry.path, names: 1 });
    yield lines([...at, ...(await creation(tree, entry)), ...fieldsOf(entry, options)]);
    for (const attribute of attributes.get(entry) ?? []) yield lines([await setting(entry, attribute, options)]);
  }
  for (const { path, names } of files.values())
    if (names > 1) yield lines([`set_inode_field ${quoted(`/${path}`)} links_count ${names}`]);
  // The count depends on the order of buffers; zero stays zero.
  yield lines(['set_super_value kbytes_written 0']);
}

const lines = (all: readonly string[]): Uint8Array => Buffer.from(all.map((one) => `${one}\n`).join(''), 'latin1');

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

const nameOf = ({ path }: TreeEntry): string => quoted(path.slice(path.lastIndexOf('/') + 1));

async function creation(tree: string, entry: TreeEntry): Promise<string[]> {
  const name = nameOf(entry);
  const [major, minor] = numbersOf(entry.device);
  switch (entry.kind) {
    case 'folder':
      return ['', 'lost+found'].includes(entry.path) ? [] : [`mkdir ${name}`];
    case 'link': {
      const target = await linkTarget(tree, entry.path);
      mustBeOneLine(target, shownPath(tree, entry.path));
      return [`symlink ${name} ${quoted(target)}`];
    }
    case 'pipe':
      return [`mknod ${name} p`];
    case 'character device':
      return [`mknod ${name} c ${major} ${minor}`];
    case 'block device':
      return [`mknod ${name} b ${major} ${minor}`];
    default: {
      const source = placeOf(tree, entry.path).toString('latin1');
      mustBeOneLine(source, shownPath(tree, entry.path));
      return [`write ${quoted(source)} ${name}`];
    }
  }
}

/** A device number as packed by Linux. */
const numbersOf = (device: number): readonly [number, number] => {
  const all = BigInt(device);
  return [
    Number(((all >> 8n) & 0xfffn) | ((all >> 32n) & ~0xfffn)),
    Number((all & 0xffn) | ((all >> 12n) & ~0xffn & 0xffffffffn)),
  ];
};

function fieldsOf({ path, kind, mode, uid, gid, mtime }: TreeEntry, { owner, epoch }: Ext4Options): string[] {
  const time = `@${timeOf(Math.min(mtime, epoch))}`;
  const isRoot = owner === 'root';
  const fields: readonly (readonly [string, string])[] = [
    ...(kind === 'link' ? [] : [['mode', `0${mode.toString(8)}`] as const]),
    ['uid', String(isRoot ? 0 : uid)],
    ['gid', String(isRoot ? 0 : gid)],
    // Other times would change with every release, and with them every block of inodes.
    ...(['atime', 'ctime', 'mtime', 'crtime'] as const).map((field) => [field, time] as const),
  ];
  return fields.map(([field, value]) => `set_inode_field ${quoted(`/${path}`)} ${field} ${value}`);
}

/** The value is read from a file, because it can contain any bytes. */
async function setting(
  entry: TreeEntry,
  { name, value }: Attribute,
  { scratch }: Pick<Ext4Options, 'scratch'>,
): Promise<string> {
  const file = `value-${createHash('sha256').update(entry.path).update('\0').update(name).digest('hex')}`;
  await scratch.writeText(file, [value]);
  return `ea_set -f ${quoted(scratch.path(file))} ${quoted(`/${entry.path}`)} ${quoted(name)}`;
}
