/** What of a tree is in the image: names, owners, times, attributes, whoever builds it and in whatever order its folders are listed. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  link,
  lutimes,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAttributes } from '../../src/bundle/image/attributes.ts';
import { withOwners } from '../../src/bundle/image/owners.ts';
import { type RootFormat, type RootImageOptions, rootImage } from '../../src/bundle/image/root.ts';
import { createScratch } from '../../src/system/disk/scratch.ts';
import { topOf, walkTree } from '../../src/system/disk/tree-walk.ts';
import { type Exec, realExec } from '../../src/system/process/exec.ts';
import { noSignal, temporaryFolder } from '../support/bundles.ts';

const FORMATS = ['erofs', 'ext4'] as const;
const RELEASED = 1_700_000_000;
const isRoot = process.getuid?.() === 0;

/** Names that a program could take for something else, and one that is not UTF-8. */
const NAMES = [
  '<12>',
  'a "quoted" name',
  '#comment',
  '-n',
  ' blank ',
  'back\\slash',
  'ünïcode',
  "it's",
  '$HOME',
  'a\tb',
];
const NOT_UTF8 = Buffer.from([0x66, 0xff, 0x6f]);

/** In memory, where a folder lists its files in the order in which they were made. */
const inMemory = async () => {
  const path = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tandem-tree-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
};

async function makeTree(tree: string, isForward = true): Promise<void> {
  const numbers = Array.from({ length: 60 }, (_, index) => `file-${index}`);
  const all = [...NAMES, ...numbers];
  await mkdir(join(tree, 'usr/<5>'), { recursive: true });
  for (const name of isForward ? all : all.toReversed()) await writeFile(join(tree, 'usr', name), `${name}\n`);
  await writeFile(Buffer.concat([Buffer.from(`${tree}/usr/`), NOT_UTF8]), 'bytes');
  await writeFile(join(tree, 'usr/<5>/deep'), 'deep');
  await symlink('usr/file-1', join(tree, 'link'));
  await symlink(`/${'long'.repeat(30)}`, join(tree, 'long link'));
  await link(join(tree, 'usr/file-2'), join(tree, 'usr/twin'));
  await chmod(join(tree, 'usr/file-3'), 0o4755);
  await chmod(join(tree, 'usr'), 0o711);
  for await (const { path } of walkTree(tree))
    await lutimes(
      Buffer.concat([Buffer.from(`${tree}/`), Buffer.from(path, 'latin1')]) as unknown as string,
      1000,
      1_600_000_000,
    );
  await lutimes(join(tree, 'usr/file-4'), 1000, RELEASED + 5000);
  await lutimes(tree, 1000, 1_600_000_000);
}

async function image(tree: string, format: RootFormat, more: Partial<RootImageOptions> = {}): Promise<string> {
  const output = `${tree}.${format}`;
  await using scratch = await createScratch(output);
  const about = {
    exec: realExec,
    scratch,
    signal: noSignal,
    identity: 'tree',
    epoch: RELEASED,
    owner: 'keep' as const,
  };
  await rename(await rootImage(tree, { ...about, format, ...more }), output);
  return output;
}

const sha256 = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

/** What an inode says: its time, owner and mode, and its number. */
function inodeOf(path: string, format: RootFormat, name: string) {
  const [program, args] =
    format === 'ext4' ? ['debugfs', ['-R', `stat "${name}"`, path]] : ['dump.erofs', [`--path=${name}`, path]];
  const said = execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, TZ: 'UTC' },
  });
  const of = (pattern: RegExp): string => pattern.exec(said)?.[1] ?? '';
  return {
    mtime:
      format === 'ext4'
        ? Number.parseInt(of(/mtime: 0x([0-9a-f]+)/), 16)
        : Date.parse(`${of(/Timestamp: ([\d: -]+)/).trim()}Z`) / 1000,
    uid: Number(format === 'ext4' ? of(/User:\s+(\d+)/) : of(/Uid: (\d+)/)),
    mode: of(format === 'ext4' ? /Mode:\s+0?(\d+)/ : /Access: (\d+)/).slice(-4),
    links: Number(of(/Links: (\d+)/)),
  };
}

for (const format of FORMATS) {
  test(`an ${format} image is the same in whatever order folders list their files`, async () => {
    await using one = await inMemory();
    await using two = await inMemory();
    await makeTree(join(one.path, 'tree'));
    await makeTree(join(two.path, 'tree'), false);
    const [first, second] = await Promise.all([one, two].map(({ path }) => image(join(path, 'tree'), format)));
    assert.equal(await sha256(first ?? ''), await sha256(second ?? ''));
  });

  test(`an ${format} image keeps modes, links and times, and no file of it is newer than the release`, async () => {
    await using folder = await temporaryFolder();
    const tree = join(folder.path, 'tree');
    await makeTree(tree);
    const path = await image(tree, format);
    assert.equal(inodeOf(path, format, '/usr/file-1').mtime, 1_600_000_000);
    assert.equal(inodeOf(path, format, '/usr').mtime, 1_600_000_000);
    assert.equal(inodeOf(path, format, '/').mtime, 1_600_000_000);
    assert.equal(inodeOf(path, format, '/usr/file-4').mtime, RELEASED);
    assert.equal(inodeOf(path, format, '/usr/file-2').links, 2);
    // dump.erofs does not show the bit that sets the user.
    assert.equal(inodeOf(path, format, '/usr/file-3').mode, format === 'ext4' ? '4755' : '0755');
    assert.equal(inodeOf(path, format, '/usr').mode.slice(-3), '711');
  });

  test(`an ${format} image belongs to root where that is asked for, and else to whom the files belong`, {
    skip: !isRoot,
  }, async () => {
    await using folder = await temporaryFolder();
    const tree = join(folder.path, 'tree');
    await makeTree(tree);
    for (const name of ['', 'usr', 'usr/file-1']) await chown(join(tree, name), 70_000, 1000);
    const owners = async (owner: 'keep' | 'root'): Promise<number[]> => {
      const path = await image(tree, format, { owner });
      return ['/', '/usr', '/usr/file-1', '/usr/file-2'].map((name) => inodeOf(path, format, name).uid);
    };
    assert.deepEqual(await owners('keep'), [70_000, 70_000, 70_000, 0]);
    assert.deepEqual(await owners('root'), [0, 0, 0, 0]);
  });
}

test('an ext4 image has every file under its own name, byte for byte', { skip: !isRoot }, async () => {
  await using folder = await temporaryFolder();
  const tree = join(folder.path, 'tree');
  await makeTree(tree);
  execFileSync('mknod', [join(tree, 'null'), 'c', '1', '3']);
  execFileSync('setfattr', ['-n', 'user.some', '-v', '0x00ff0a', join(tree, 'usr/<12>')]);
  const path = await image(tree, 'ext4');
  execFileSync('e2fsck', ['-fn', path], { stdio: 'ignore' });
  const back = join(folder.path, 'back');
  await mkdir(back);
  execFileSync('debugfs', ['-R', `rdump / ${back}`, path], { stdio: 'ignore' });
  await rm(join(back, 'lost+found'), { recursive: true });
  const listed = async (top: string): Promise<unknown[]> => {
    const all: unknown[] = [];
    // rdump makes no devices.
    for await (const { path: at, kind, mode, uid, device } of walkTree(top))
      if (kind !== 'character device') all.push([at, kind, kind === 'link' ? 0 : mode & 0o777, uid, device]);
    return all;
  };
  assert.deepEqual(await listed(back), await listed(tree));
  for (const name of [...NAMES, 'twin'])
    assert.equal(await readFile(join(back, 'usr', name), 'utf8'), name === 'twin' ? 'file-2\n' : `${name}\n`);
  assert.match(debugfs(path, 'stat /null'), /Type: character special[\s\S]*Device major\/minor number: 01:03/);
  assert.match(debugfs(path, 'ea_get -x "/usr/<12>" user.some'), /00 ?ff ?0a/);
});

const debugfs = (path: string, command: string): string =>
  execFileSync('debugfs', ['-R', command, path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

for (const [what, make] of [
  ['name', (tree: string) => writeFile(join(tree, 'two\nlines'), '')],
  ['target of a link', (tree: string) => symlink('two\nlines', join(tree, 'two lines'))],
] as const)
  test(`a line break in a ${what} is refused for ext4 with its path, and taken for erofs`, async () => {
    await using folder = await temporaryFolder();
    const tree = join(folder.path, 'tree');
    await mkdir(tree);
    await make(tree);
    await assert.rejects(image(tree, 'ext4'), { code: 'name-unsupported', message: /tree\/two.lines.*use erofs/s });
    await image(tree, 'erofs');
    assert.deepEqual((await readdir(folder.path)).sort(), ['tree', 'tree.erofs']);
  });

test('owners and modes are those that fakeroot shows to programs, and a device that only it has made is refused', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'file'), '');
  const entries = [];
  for await (const entry of walkTree(folder.path)) entries.push(entry);
  const [file] = entries;
  const seenAs =
    (type: string): Exec =>
    async () => ({
      exitCode: 0,
      stdout: `${file?.inode} ${type} 5 6 4711\n`,
      stderr: '',
      timedOut: false,
    });
  const [seen] = await withOwners(seenAs('f'), folder.path, entries, noSignal);
  assert.deepEqual([seen?.uid, seen?.gid, seen?.mode], [5, 6, 0o104711]);
  await assert.rejects(withOwners(seenAs('c'), folder.path, entries, noSignal), {
    code: 'source-unreadable',
    message: /file is a file and nothing that was made in its place/,
  });
  assert.equal((await topOf(folder.path)).kind, 'folder');
});

test('attributes are read under any name', () => {
  const said = '# file: a\\012b\\134\nuser.some=0x00ff\nuser.none=0x\n\n# file: c\nsecurity.capability=0x01\n';
  assert.deepEqual(
    [...parseAttributes(said)].map(([path, all]) => [path, all.map(({ name, value }) => [name, [...value]])]),
    [
      [
        'a\nb\\',
        [
          ['user.some', [0, 255]],
          ['user.none', []],
        ],
      ],
      ['c', [['security.capability', [1]]]],
    ],
  );
});
