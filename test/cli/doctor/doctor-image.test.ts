/** `updatectl doctor --image`: the same tree in a root image, in a bundle and on a disk. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { imageTree } from '../../../src/bundle/image/image-files.ts';
import { rootImage } from '../../../src/bundle/image/root.ts';
import { doctor } from '../../../src/cli/doctor/doctor.ts';
import { bundleBuild } from '../../../src/cli/publish/bundle-build.ts';
import { folderTree } from '../../../src/system/disk/folder-tree.ts';
import { createScratch } from '../../../src/system/disk/scratch.ts';
import { walkTree } from '../../../src/system/disk/tree-walk.ts';
import { realExec } from '../../../src/system/process/exec.ts';
import { makeBundle } from '../../support/bundles.ts';
import { refusalOf, runCommand } from '../../support/command-line.ts';
import { cpioArchive } from '../../support/cpio.ts';
import { goodTree, KERNEL, writeTree } from '../../support/good-tree.ts';
import { DISK_GUID, gptDisk } from '../../support/gpt-disk.ts';
import { peFile } from '../../support/pe.ts';
import { TestRepository } from '../../support/tuf-repository.ts';
import { demoUki } from '../../support/uki.ts';

const signal = new AbortController().signal;
const dir = await mkdtemp(join(tmpdir(), 'tandem-doctor-image-'));
const repository = await new TestRepository().init(undefined, new Date());
after(async () => {
  await scratch[Symbol.asyncDispose]();
  repository[Symbol.dispose]();
  await rm(dir, { recursive: true });
});
const tree = join(dir, 'tree');
await writeTree(tree, goodTree(repository.root));
// Files that a file system stores in its own ways: long, with holes, empty, in many blocks.
await mkdir(join(tree, 'srv'));
await writeFile(join(tree, 'srv/long'), Buffer.alloc(300_000, 'content'));
await writeFile(join(tree, 'srv/holes'), 'start');
await truncate(join(tree, 'srv/holes'), 50_000);
await writeFile(
  join(tree, 'srv/middle'),
  Buffer.concat([Buffer.alloc(12_288), Buffer.from('middle'), Buffer.alloc(9000)]),
);
await writeFile(join(tree, 'srv/empty'), '');
const scratch = await createScratch(join(dir, 'image'));
const original = await folderTree(tree);
const images = {
  erofs: await rootImage(tree, {
    exec: realExec,
    scratch,
    signal,
    format: 'erofs',
    identity: 'a',
    epoch: 1,
    owner: 'root',
  }),
  ext4: await rootImage(tree, {
    exec: realExec,
    scratch,
    signal,
    format: 'ext4',
    identity: 'a',
    epoch: 1,
    owner: 'root',
  }),
};

for (const [format, path] of Object.entries(images)) {
  test(`every file of a tree is found in its ${format} image, and is the same`, async () => {
    const bytes = await readFile(path);
    const image = await imageTree(async (offset, length) => bytes.subarray(offset, offset + length), bytes.length);

    assert.ok(image);
    for await (const { path: name } of walkTree(tree)) {
      const wanted = await original.entry(`/${name}`);
      const found = await image.entry(`/${name}`);
      assert.deepEqual([found?.kind, found?.target], [wanted?.kind, wanted?.target], name);
      if (wanted?.kind !== 'file') continue;
      assert.equal(found?.mode, wanted.mode, name);
      assert.deepEqual(Buffer.from((await image.read(`/${name}`)) ?? []), await readFile(join(tree, name)), name);
      const part = await image.readPart(`/${name}`, 4000, 9000);
      assert.deepEqual(Buffer.from(part?.bytes ?? []), (await readFile(join(tree, name))).subarray(4000, 13_000), name);
    }
  });

  test(`a good tree in an ${format} image passes every check`, async () => {
    const text = await runCommand(doctor, dir, ['--image', path, '--version', '2.1', '--repository', repository.dir]);
    assert.match(text, /All \d+ checks passed\.\n$/, text);
  });
}

/** "HdrS", and where the version is. */
const kernel = Buffer.alloc(2048);
kernel.write('HdrS', 0x202);
kernel.writeUInt16LE(0x300, 0x20e);
kernel.write(`${KERNEL} (demo) #1\0`, 0x500);

test('of a bundle, command line, kernel and initrd are checked as well', async () => {
  const initrd = cpioArchive([{ path: 'init', content: 'roothash' }, { path: 'modules/dm-verity.ko' }]);
  const bundle = async (commandLine: string): Promise<string> => {
    const uki = peFile([
      ['.cmdline', commandLine],
      ['.linux', kernel],
      ['.initrd', initrd],
    ]);
    await makeBundle(
      join(dir, 'a.bundle'),
      { root: await readFile(images.erofs), uki },
      { about: { version: '2.1' as never, product: 'shop' as never } },
    );
    return runCommand(doctor, dir, ['--image', 'a.bundle']);
  };
  const good = await bundle(`quiet roothash=${'0'.repeat(64)}`);
  assert.match(good, /command line {2,}79 bytes/);
  assert.match(good, /All \d+ checks passed\.\n$/, good);
  assert.match(await bundle('root=LABEL=x'), /root=LABEL=x starts a root that is not verified/);
});

test('of a disk, the slot is checked that is filled', async () => {
  const root = await readFile(images.ext4);
  const size = Math.ceil(root.length / 1024 / 1024) * 1024 * 1024;
  const part = (label: string, index: number, uuid: string) => ({
    label,
    offset: 1024 * 1024 + index * size,
    size,
    uuid,
  });
  const uuid = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
  const disk = Buffer.from(
    gptDisk(2 * size + 4 * 1024 * 1024, 512, [part('root-a', 0, DISK_GUID), part('root-b', 1, uuid)]),
  );
  root.copy(disk, 1024 * 1024 + size);
  await writeFile(join(dir, 'disk.img'), disk);
  const text = await runCommand(doctor, dir, ['--image', 'disk.img', '--version', '2.1']);
  assert.match(text, /All \d+ checks passed\.\n$/, text);
});

test('a file without a tree is refused', async () => {
  await writeFile(join(dir, 'noise'), Buffer.alloc(100_000, 'noise'));
  await writeFile(join(dir, 'empty'), '');
  for (const name of ['noise', 'empty'])
    assert.equal(await refusalOf(runCommand(doctor, dir, ['--image', name])), 'file-unsuitable', name);
  assert.equal(await refusalOf(runCommand(doctor, dir, ['--image', 'nowhere'])), 'source-unreadable');
  assert.equal(await refusalOf(runCommand(doctor, dir, ['--image', 'noise', '--tree', 'tree'])), 'usage');
});

test('an image that contradicts itself has findings, not errors', async () => {
  for (const [format, path] of Object.entries(images)) {
    const bytes = await readFile(path);
    for (let at = 4096; at < Math.min(bytes.length, 60 * 4096); at += 4096 * 3) {
      const damaged = Buffer.from(bytes);
      damaged.fill(0xff, at, at + 4096);
      await writeFile(join(dir, 'damaged'), damaged);
      const result = await runCommand(doctor, dir, ['--image', 'damaged']).catch((error: unknown) => error);
      const code = result instanceof Error && 'code' in result ? result.code : 'none';
      assert.match(String(code), /^(none|image-mismatch|file-unsuitable)$/, `${format} at ${at}: ${String(result)}`);
    }
  }
});

const isProgress = (text: string): boolean => /^(root|kernel) image /.test(text);

test('bundle build warns of what doctor finds, and builds', async () => {
  const build = async (root: string): Promise<readonly string[]> => {
    const warned: string[] = [];
    const bytes = root.endsWith('.erofs') ? await readFile(root) : Buffer.alloc(4096);
    await writeFile(join(dir, 'given.efi'), demoUki(bytes, '3.0'));
    const args = ['--product', 'demo', '--version', '3.0', '--counter', '3', '--root', root, '--uki', 'given.efi'];
    await runCommand(bundleBuild, dir, [...args, '-o', 'built.bundle', '--level', '1'], {}, (text) =>
      warned.push(text),
    );
    return warned.filter((text) => !isProgress(text));
  };
  const [version, product, hint, ...more] = await build(images.erofs);
  assert.match(version ?? '', /^version: .*IMAGE_VERSION=2\.1, but the release is 3\.0/);
  assert.match(product ?? '', /^configuration: Hosts would install shop, but the release is of demo/);
  assert.match(hint ?? '', /^What to do: `updatectl doctor --image .*root\.erofs`\.\n$/);
  assert.deepEqual(more, []);
});

test('bundle build says only one thing of a tree that is no system', async () => {
  const warned: string[] = [];
  await mkdir(join(dir, 'files'));
  await writeFile(join(dir, 'files/hello'), 'hello');
  await writeFile(join(dir, 'given.efi'), demoUki(new Uint8Array(4096), '3.0'));
  const args = ['--product', 'demo', '--version', '3.0', '--counter', '3', '--root', 'files', '--uki', 'given.efi'];
  const refused = runCommand(bundleBuild, dir, [...args, '-o', 'other.bundle'], {}, (text) => warned.push(text));
  assert.equal(await refusalOf(refused), 'uki-mismatch');
  assert.deepEqual(
    // The last is for users other than root.
    warned.filter((text) => !isProgress(text) && !text.includes('will belong to user')),
    ['system: /sbin/init is missing or not a program.\n'],
  );
});
