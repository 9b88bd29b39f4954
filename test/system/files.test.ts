/** What is read of files, whatever lies there, and what is written of them. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  type FileHandle,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import {
  type Files,
  freeSpace,
  isFolder,
  moveFile,
  naming,
  readHead,
  readPart,
  readPartOf,
  readStream,
  readText,
  readTextIfAny,
  readThrough,
  realFiles,
  removeFile,
  removeTemporaries,
  replaceFile,
  statOf,
  writableSpace,
  writePart,
  writePartOf,
} from '../../src/system/files.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { filesInTurn } from '../support/in-turn.ts';
import { loopDisk, sh } from '../support/loop-disk.ts';

const text = async (path: string, most: number): Promise<string | undefined> => {
  const bytes = await readHead(path, most);
  return bytes && Buffer.from(bytes).toString();
};

test('no more of a file is read than was asked for, and a link is followed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-head-'));
  const path = (name: string): string => join(dir, name);
  await writeFile(path('file'), 'abcdef');
  await symlink('file', path('link'));
  execFileSync('mkfifo', [path('pipe')]);
  assert.equal(await text(path('file'), 4), 'abcd');
  assert.equal(await text(path('link'), 100), 'abcdef');
  assert.equal(await text(path('pipe'), 100), '');
  assert.equal(await text(path('absent'), 100), undefined);
  await rm(dir, { recursive: true });
});

test('a file of the kernel, which says that it is empty, is read', async () => {
  assert.match((await text('/proc/self/mountinfo', 100_000)) ?? '', / \/ /);
});

test('a folder behind a link is not one at that path', async () => {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'tandem-folder-')));
  await symlink('/', join(dir, 'link'));
  await writeFile(join(dir, 'file'), '');
  const looked = [dir, join(dir, 'link'), join(dir, 'link/etc'), join(dir, 'file'), join(dir, 'absent')].map(isFolder);
  assert.deepEqual(await Promise.all(looked), [true, false, false, false, false]);
  await rm(dir, { recursive: true });
});

test('a part of a file, and what is read to warm it up, is of the file at that very path and no other', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-link-'));
  const path = (name: string): string => join(dir, name);
  await writeFile(path('file'), 'abcdef');
  await symlink('file', path('link'));
  const part = await readPart(path('file'), 2, 3);
  assert.deepEqual([Buffer.from(part?.bytes ?? []).toString(), part?.size], ['cde', 6]);
  assert.deepEqual([await readThrough(path('file'), 6), await readThrough(path('file'), 5)], [6, 0]);
  for (const read of [() => readPart(path('link'), 0, 6), () => readThrough(path('link'), 6)])
    await assert.rejects(read(), { code: 'ELOOP' });
  assert.deepEqual([await readPart(path('absent'), 0, 1), await readThrough(path('absent'), 1)], [undefined, 0]);
  assert.equal(await readThrough(dir, 1e6), 0);
  await rm(dir, { recursive: true });
});

const bytesOf = (content: string): Uint8Array => Buffer.from(content);
const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

/** Files in memory, each of whose operations takes its time. */
function memory(content: Readonly<Record<string, string>>) {
  const held = new Map(Object.entries(content));
  const nothing = async (): Promise<void> => undefined;
  const files = filesInTurn({
    read: async (path) => (held.has(path) ? bytesOf(held.get(path) ?? '') : undefined),
    list: async (dir) =>
      [...held.keys()].filter((path) => path.startsWith(`${dir}/`)).map((path) => path.slice(dir.length + 1)),
    makeDir: nothing,
    write: async (path, chunks) => {
      const pieces: Uint8Array[] = [];
      for await (const chunk of chunks) pieces.push(chunk);
      held.set(path, Buffer.concat(pieces).toString());
    },
    syncFile: nothing,
    rename: async (from, to) => {
      held.set(to, held.get(from) ?? assert.fail(from));
      held.delete(from);
    },
    remove: async (path) => void held.delete(path),
    syncDir: nothing,
  } satisfies Files);
  const holds = (): Record<string, string> => {
    files.atRest();
    return Object.fromEntries(held);
  };
  return { files, holds };
}

test('a file is replaced, moved and removed step by step, each when the one before has ended', async () => {
  const { files, holds } = memory({ '/a': 'old' });
  await replaceFile(files, '/a', bytesOf('new'));
  assert.deepEqual(holds(), { '/a': 'new' });
  const pieces = async function* () {
    yield bytesOf('in ');
    yield bytesOf('pieces');
  };
  await replaceFile(files, '/a', pieces());
  await moveFile(files, '/a', '/b');
  assert.deepEqual(holds(), { '/b': 'in pieces' });
  await removeFile(files, '/b');
  assert.deepEqual(holds(), {});
});

test('of a folder only what an earlier power cut has left half written is removed', async () => {
  const { files, holds } = memory({ '/d/a': '', '/d/a.tandem-new': '', '/d/.tandem-new.b': '', '/e/c.tandem-new': '' });
  await removeTemporaries(files, '/d');
  assert.deepEqual(Object.keys(holds()), ['/d/a', '/d/.tandem-new.b', '/e/c.tandem-new']);
});

test('parts of a file in memory are read and written as those of a real one', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'file');
  const { files } = memory({});
  const [read, write] = [readPartOf(files), writePartOf(files)];
  assert.deepEqual([await read(path, 0, 4), await readPart(path, 0, 4)], [undefined, undefined]);
  for (const [offset, content] of [
    [0, ''],
    [3, 'defgh'],
    [0, 'ABC'],
    [7, 'xyz'],
    [5, '-'],
  ] as const) {
    await write(path, offset, bytesOf(content));
    files.atRest();
    await writePart(path, offset, bytesOf(content));
    assert.equal(textOf(await files.read(path)), textOf(await realFiles.read(path)), content);
  }
  assert.equal(textOf(await realFiles.read(path)), 'ABCde-gxyz');
  for (const [offset, length] of [
    [0, 10],
    [2, 3],
    [8, 5],
    [10, 1],
    [20, 1],
  ] as const) {
    const [one, other] = [await read(path, offset, length), await readPart(path, offset, length)];
    assert.deepEqual([textOf(one?.bytes), one?.size], [textOf(other?.bytes), other?.size], `${length} at ${offset}`);
  }
});

test('a part is written whole by a disk that takes a few bytes at a time', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, '0123456789');
  const handle = await open(path);
  const prototype: FileHandle = Object.getPrototypeOf(handle);
  await handle.close();
  const real = prototype.write as (...given: unknown[]) => Promise<{ bytesWritten: number }>;
  const spy = mock.method(prototype, 'write', function (this: FileHandle, ...given: unknown[]) {
    const [bytes, done, length, at] = given as [Uint8Array, number, number, number];
    return real.call(this, bytes, done, Math.min(2, length), at);
  });
  try {
    await writePart(path, 3, bytesOf('ABCDE'));
  } finally {
    spy.mock.restore();
  }
  assert.equal(await readFile(path, 'utf8'), '012ABCDE89');
});

test('what is written can be read by all and written by its owner alone', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
  const before = process.umask(0);
  try {
    await realFiles.write(at('file'), [bytesOf('a'), bytesOf('b')]);
    await writePart(at('part'), 0, bytesOf('c'));
    for (let turn = 0; turn < 2; turn++) await realFiles.makeDir(at('one/two'));
  } finally {
    process.umask(before);
  }
  assert.equal(await readFile(at('file'), 'utf8'), 'ab');
  const modes = await Promise.all(['file', 'part', 'one', 'one/two'].map((name) => mode(at(name))));
  assert.deepEqual(modes, [0o644, 0o644, 0o755, 0o755]);
});

test('what is not there is read as nothing, listed as nothing and removed without a word', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  await writeFile(at('file'), ' text\n');
  for (const absent of [at('absent'), at('file/below')]) {
    assert.equal(await realFiles.read(absent), undefined);
    assert.deepEqual(await realFiles.list(absent), []);
    await realFiles.remove(absent);
    assert.equal(await statOf(absent), undefined);
    assert.equal(await readStream(absent), undefined);
    assert.equal(await readText(realFiles, absent), '');
    assert.equal(await readTextIfAny(realFiles, absent), undefined);
  }
  assert.deepEqual(
    [await readText(realFiles, at('file')), await readTextIfAny(realFiles, at('file'))],
    ['text', 'text'],
  );
  await assert.rejects(realFiles.makeDir(at('file/below')), { code: 'ENOTDIR' });
  await assert.rejects(readText(realFiles, folder.path), { code: 'EISDIR', path: folder.path });
  await assert.rejects(readStream(folder.path), { code: 'EISDIR', path: folder.path });
  assert.equal(await readTextIfAny(realFiles, folder.path), undefined);
  await writeFile(at('another'), '');
  assert.deepEqual(await realFiles.list(folder.path), (await readdir(folder.path)).sort());
});

test('a file is read up to the size that is allowed, and one with a byte more is refused by its name', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, 'abcd');
  assert.equal(textOf(await realFiles.read(path, 4)), 'abcd');
  await assert.rejects(realFiles.read(path, 3), { code: 'EFBIG', path });
});

test('what would keep us waiting, or has no end, is not read: a pipe, a disk, a device', async () => {
  await using folder = await temporaryFolder();
  using disk = loopDisk();
  const pipe = join(folder.path, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, disk.path]) await assert.rejects(realFiles.read(path), { code: 'ENXIO', path });
  for (const path of ['/dev/null', '/dev/zero']) assert.deepEqual(await realFiles.read(path, 1), new Uint8Array());
  assert.equal(await readThrough(pipe, 1), 0);
});

test('a file is read through to its end, however long it is', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, new Uint8Array(700_001));
  assert.equal(await readThrough(path, 1e6), 700_001);
});

test('the room on a disk is what programs without privileges have, and there is none where nothing can be written', async () => {
  await using folder = await temporaryFolder();
  sh('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=0777', 'tandem', folder.path);
  try {
    const { bavail, bsize } = await statfs(folder.path);
    assert.equal(await freeSpace(folder.path), bavail * bsize);
    assert.equal(await writableSpace(folder.path), bavail * bsize);
    sh('mount', '-o', 'remount,ro', folder.path);
    await assert.rejects(writableSpace(folder.path), { code: 'EROFS' });
    await assert.rejects(realFiles.makeDir(join(folder.path, 'a/b')), { code: 'EROFS' });
  } finally {
    sh('umount', folder.path);
  }
});

test('a call on an open file that fails names the file, and an error that has a path of its own keeps it', async () => {
  const full = { code: 'ENOSPC', path: '/dev/full' };
  await assert.rejects(realFiles.write('/dev/full', [bytesOf('x')]), full);
  await assert.rejects(writePart('/dev/full', 0, bytesOf('x')), full);
  await assert.rejects(realFiles.syncFile('/proc/self/status'), { code: 'EINVAL', path: '/proc/self/status' });
  const own = Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'read', path: '/own' });
  assert.throws(() => naming('/file')(own), { path: '/own' });
  const foreign = [new Error('no call'), Object.assign(new Error('EIO'), { code: 'EIO' }), { syscall: 'read' }];
  for (const other of foreign) {
    assert.throws(
      () => naming('/file')(other),
      (thrown) => thrown === other,
    );
    assert.ok(!('path' in other));
  }
});
