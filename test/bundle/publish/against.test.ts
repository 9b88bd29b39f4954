/** What an update costs is said for each file, and counted to the byte when asked. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { compressedForm, parseErofs } from '../../../src/bundle/image/erofs.ts';
import { readExt4Inode } from '../../../src/bundle/image/ext4.ts';
import { mapFiles } from '../../../src/bundle/image/file-map.ts';
import { type Comparison, compareBundles } from '../../../src/bundle/publish/against.ts';
import { openBundle } from '../../../src/bundle/reader.ts';
import { bundleInspect } from '../../../src/cli/publish/bundle-inspect.ts';
import type { Product, Version } from '../../../src/model.ts';
import { fileSource } from '../../../src/system/disk/file-source.ts';
import { about, makeBundle, noSignal, someBytes, temporaryFolder } from '../../support/bundles.ts';
import { refusalOf, runCommand } from '../../support/command-line.ts';
import { directPool } from '../../support/direct-pool.ts';
import { demoUki } from '../../support/uki.ts';

const files: Readonly<Record<string, Uint8Array>> = {
  'usr/bin/server': someBytes(300_000, 5),
  'usr/lib/library': someBytes(90_000, 6),
  'usr/lib/manual.gz': gzipSync(someBytes(120_000, 7)),
  'etc/short': Buffer.from('short\n'),
};

async function tree(path: string, changes: Readonly<Record<string, Uint8Array>> = {}): Promise<void> {
  for (const [name, content] of Object.entries({ ...files, ...changes })) {
    await mkdir(join(path, name, '..'), { recursive: true });
    await writeFile(join(path, name), content);
  }
  await symlink('server', join(path, 'usr/bin/link'));
  await mkdir(join(path, 'var/empty'), { recursive: true });
  for (let index = 0; index < 300; index += 1) await writeFile(join(path, 'var', `many-${index}`), '');
}

async function erofs(from: string, ...options: string[]): Promise<Uint8Array> {
  execFileSync('mkfs.erofs', ['--quiet', '-T0', ...options, `${from}.erofs`, from]);
  return new Uint8Array(await readFile(`${from}.erofs`));
}

async function bundle(path: string, root: Uint8Array, version: string, product: string = about.product): Promise<void> {
  const release = { version: version as Version, product: product as Product, counter: Number(version) };
  await makeBundle(path, { root, uki: demoUki(root, version) }, { about: release });
}

async function compare(to: string, from: string): Promise<Comparison> {
  await using one = await fileSource(to);
  await using other = await fileSource(from);
  const open = (source: typeof one) => openBundle(source, undefined, noSignal);
  return await compareBundles(await open(one), await open(other), directPool(), noSignal);
}

async function ext4(from: string): Promise<Uint8Array> {
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-O', '^has_journal', '-d', from, `${from}.ext4`, '8M']);
  return new Uint8Array(await readFile(`${from}.ext4`));
}

const images: readonly (readonly [string, (from: string) => Promise<Uint8Array>])[] = [
  ['erofs', (from) => erofs(from, '-Enoinline_data')],
  ['erofs with inline data', (from) => erofs(from)],
  ['ext4', ext4],
];

for (const [what, make] of images)
  test(`every file of an image is found where its bytes are (${what})`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'tree');
    await tree(path);
    const root = await make(path);
    await bundle(join(folder.path, 'a'), root, '1');
    await using source = await fileSource(join(folder.path, 'a'));
    const { manifest } = await openBundle(source, undefined, noSignal);
    const release = { root, uki: demoUki(root, '1') };
    const map = await mapFiles(manifest, async (role, at, length) => release[role].subarray(at, at + length));
    assert.ok(map.isComplete);
    const found = new Set(map.files.map((file) => file.path));
    for (const [name, content] of Object.entries(files)) {
      const stretches = map.files.filter((file) => file.path === `/${name}`);
      const stored = Buffer.concat(
        stretches.map(({ first, count }) => root.subarray(first * 4096, (first + count) * 4096)),
      ).subarray(0, content.length);
      assert.ok(stored.length >= Math.floor(content.length / 4096) * 4096, `${name}: ${stored.length} bytes`);
      assert.ok(stored.equals(content.subarray(0, stored.length)), name);
    }
    assert.ok(found.has('UKI .linux') && found.has('UKI .cmdline'));
  });

test('the files that cost the bytes are named, the costliest first, and why', async () => {
  await using folder = await temporaryFolder();
  const [old, fresh] = [join(folder.path, 'old'), join(folder.path, 'new')];
  const server = files['usr/bin/server']?.slice() ?? new Uint8Array();
  server.fill(1, 8192, 8200);
  await tree(old);
  await tree(fresh, {
    'usr/bin/server': server,
    'usr/lib/manual.gz': gzipSync(someBytes(121_000, 8)),
    'usr/lib/added': someBytes(40_000, 9),
  });
  await bundle(`${old}.bundle`, await erofs(old, '-Enoinline_data'), '1');
  await bundle(`${fresh}.bundle`, await erofs(fresh, '-Enoinline_data'), '2');
  const result = await compare(`${fresh}.bundle`, `${old}.bundle`);
  const facts = result.files.map(({ path, is, why }) => [path, is, why]);
  assert.deepEqual(facts.slice(0, 2), [
    ['/usr/lib/manual.gz', 'changed', 'gzip: a change alters all that follows it'],
    ['/usr/lib/added', 'new', 'new'],
  ]);
  const changed = result.files.find(({ path }) => path === '/usr/bin/server');
  assert.equal(changed?.fresh, 4096);
  assert.equal(changed?.why, '1 % of it differs');
  assert.ok(!result.files.some(({ path }) => path === '/usr/lib/library' || path === '/etc/short'));
  assert.ok(result.blocks < result.full);
  assert.ok(result.reused > 350_000 && result.reused % 4096 === 0, `${result.reused} bytes that are there already`);
  assert.equal(
    result.fresh,
    result.files.reduce((sum, file) => sum + file.fresh, result.other.fresh),
  );
  assert.ok(result.other.fresh <= 16 * 4096, `${result.other.fresh} bytes of folders and inodes`);

  const run = (...args: string[]) => runCommand(bundleInspect, folder.path, args);
  const shown = await run('new.bundle', '--against', 'old.bundle');
  assert.match(shown, /A host on 1 already has .* of 2; .* are new/);
  assert.match(shown, /kB {2,}\S+ kB {2,}\/usr\/lib\/manual\.gz {2,}gzip/);
  assert.match(shown, /An agent takes the blocks, unless there is a patch/);
  const { against } = JSON.parse(await run('new.bundle', '--against', 'old.bundle', '--exact', '--json')) as {
    against: { exact: { patch: number; blocks: number }; blocks: number; full: number };
  };
  assert.ok(against.exact.patch < against.exact.blocks, JSON.stringify(against.exact));
  assert.ok(against.exact.blocks < against.full);
  assert.ok(Math.abs(against.exact.blocks - against.blocks) < against.blocks / 4, 'the estimate is near');
  assert.deepEqual(
    (await readdir(folder.path)).filter((name) => name.startsWith('.')),
    [],
    'nothing is left behind',
  );
});

test('a root image whose files cannot be told apart is compared all the same', async () => {
  await using folder = await temporaryFolder();
  const root = someBytes(200 * 4096);
  const changed = root.slice();
  changed.fill(3, 0, 2 * 4096);
  await bundle(join(folder.path, '1'), root, '1');
  await bundle(join(folder.path, '2'), changed, '2');
  const { other, files: costly } = await compare(join(folder.path, '2'), join(folder.path, '1'));
  assert.equal(other.isFileSystemKnown, false);
  // The two blocks are alike.
  assert.equal(other.fresh, 4096);
  assert.ok(costly.every(({ path }) => path.startsWith('UKI ')));
  await bundle(join(folder.path, 'other'), root, '1', 'other');
  const ask = (...args: string[]) => refusalOf(runCommand(bundleInspect, folder.path, args));
  assert.equal(await ask('2', '--against', 'other'), 'usage');
  assert.equal(await ask('2', '--exact'), 'usage');
});

for (const [what, make] of images)
  test(`a file system that contradicts itself is an error, never an endless walk (${what})`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'tree');
    await tree(path);
    const root = await make(path);
    await bundle(join(folder.path, 'a'), root, '1');
    await using source = await fileSource(join(folder.path, 'a'));
    const { manifest } = await openBundle(source, undefined, noSignal);
    const uki = demoUki(root, '1');
    for (const at of damagedPlaces(root.length)) {
      const damaged = root.slice();
      damaged.fill(0xff, at, at + 2);
      const read = async (role: 'root' | 'uki', offset: number, length: number): Promise<Uint8Array> => {
        const image = role === 'root' ? damaged : uki;
        assert.ok(offset >= 0 && offset + length <= image.length, `${offset} + ${length} asked of ${image.length}`);
        return image.subarray(offset, offset + length);
      };
      const refused = await mapFiles(manifest, read).then(
        () => undefined,
        (error: { code?: string }) => error,
      );
      if (refused !== undefined) assert.equal(refused.code, 'image-mismatch', String(refused));
    }
  });

test('a tree of extents that leads to itself is refused after a few reads', async () => {
  const image = Buffer.alloc(16 * 4096);
  image.writeUInt32LE(2, 4096 + 8);
  const inode = image.subarray(2 * 4096);
  inode.writeUInt32LE(0x80000, 0x20);
  // Each of 4 and then 340 pointers names block 5, which is full of them.
  for (const [node, count] of [[inode.subarray(0x28), 4] as const, [image.subarray(5 * 4096), 340] as const]) {
    for (const [at, value] of [0xf30a, count, count, 1].entries()) node.writeUInt16LE(value, 2 * at);
    for (let at = 0; at < count; at += 1) node.writeUInt32LE(5, 12 + 12 * at + 4);
  }
  let reads = 0;
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    reads += 1;
    return image.subarray(offset, offset + length);
  };
  const numbers = { blocks: 16, inodes: 16, inodesPerGroup: 16, inodeSize: 256, descriptorSize: 32 };
  await assert.rejects(readExt4Inode(read, numbers, 1), { code: 'image-mismatch' });
  assert.ok(reads < 10, `${reads} reads`);
});

/** The superblock and what follows it, and a place in every few blocks. */
function* damagedPlaces(size: number): Generator<number> {
  for (let at = 1024; at < 1024 + 4096; at += 97) yield at;
  for (let at = 8192; at + 2 < size; at += 29 * 4096 + 4) yield at;
}

test('an image that is compressed by itself is recognised', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'tree');
  await tree(path);
  await cp(path, `${path}2`, { recursive: true });
  assert.equal(compressedForm(await erofs(path, '-Enoinline_data')), undefined);
  const compressed = await erofs(`${path}2`, '-zlz4');
  assert.equal(compressedForm(compressed), 'compressed erofs');
  assert.equal(parseErofs(compressed.subarray(1024, 2048)), undefined, 'its files are not told apart');
  await cp(path, `${path}3`, { recursive: true });
  const chunked = await erofs(`${path}3`, '--chunksize=4096');
  assert.equal(parseErofs(chunked.subarray(1024, 2048)), undefined, 'nor are those of chunks');
  assert.equal(compressedForm(Buffer.concat([Buffer.from('hsqs'), new Uint8Array(4096)])), 'squashfs');
  assert.equal(compressedForm(new Uint8Array(10)), undefined);
  assert.ok((await stat(path)).isDirectory());
});
