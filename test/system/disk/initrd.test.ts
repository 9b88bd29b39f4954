/** The files of an initrd: archives one after the other, each plain or compressed. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { initrdTree, readInitrd } from '../../../src/system/disk/initrd.ts';
import { type CpioFile, cpioArchive } from '../../support/cpio.ts';

const signal = new AbortController().signal;

/** In pieces of a few bytes, so that every field is once cut in two. */
const read = (bytes: Uint8Array, piece = 7) =>
  readInitrd(
    {
      size: bytes.length,
      open: async function* (at) {
        for (let from = at; from < bytes.length; from += piece) yield bytes.subarray(from, from + piece);
      },
    },
    (path) => path.endsWith('kept'),
    signal,
  );

const EARLY = cpioArchive([{ path: 'kernel/x86/microcode/AuthenticAMD.bin', content: 'microcode' }]);
const MAIN: readonly CpioFile[] = [
  { path: '.', mode: 0o40755 },
  { path: './init', content: 'a program' },
  { path: 'lib', content: 'usr/lib', mode: 0o120777 },
  { path: 'usr/lib/kept', content: 'content' },
];
const main = cpioArchive(MAIN);
const filtered = (program: string, ...args: readonly string[]): Buffer => execFileSync(program, args, { input: main });

const FORMS = {
  plain: main,
  gzip: gzipSync(main),
  zstd: zstdCompressSync(main),
  xz: filtered('xz', '-c', '--check=crc32'),
  lzma: filtered('xz', '-c', '--format=lzma'),
  lz4: filtered('lz4', '-c', '-l'),
  bzip2: filtered('bzip2', '-c'),
};

for (const [form, packed] of Object.entries(FORMS))
  test(`an initrd with microcode before a ${form} archive is read`, async () => {
    const files = await read(Buffer.concat([EARLY, Buffer.alloc(512 - (EARLY.length % 512)), packed]), 4096);
    assert.deepEqual([...files.keys()].sort(), [
      'init',
      'kernel/x86/microcode/AuthenticAMD.bin',
      'lib',
      'usr/lib/kept',
    ]);
    const tree = initrdTree(files);
    assert.equal(new TextDecoder().decode(await tree.readHead('/lib/kept', 100)), 'content');
    assert.deepEqual(await tree.list('/'), ['init', 'kernel', 'lib', 'usr']);
  });

test('compressed archives may follow one another, and a later file replaces an earlier one', async () => {
  const later = zstdCompressSync(cpioArchive([{ path: 'usr/lib/kept', content: 'later' }]));
  for (const first of [FORMS.zstd, FORMS.plain]) {
    const files = await read(Buffer.concat([first, Buffer.alloc(4), later]));
    assert.equal(new TextDecoder().decode(files.get('usr/lib/kept')?.content), 'later');
    assert.equal(files.size, 3);
  }
});

test('an initrd that is cut off anywhere is refused, or the files before the cut are read', async () => {
  const whole = Buffer.concat([EARLY, FORMS.zstd]);
  for (const few of [1, 2, 3])
    await assert.rejects(read(whole.subarray(0, EARLY.length + few)), { code: 'source-unreadable' }, `${few} bytes`);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length), fc.integer({ min: 1, max: 200 }), async (cut, piece) => {
      const files = await read(whole.subarray(0, cut), piece).catch((error: unknown) => {
        assert.equal((error as { code?: unknown }).code, 'source-unreadable', String(error));
        return undefined;
      });
      if (cut > EARLY.length && cut < whole.length) assert.equal(files, undefined);
    }),
    { numRuns: 100 },
  );
});

test('an archive with wrong bytes anywhere is read or refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(main.length - 1), fc.nat(255), async (at, value) => {
      const bytes = Buffer.from(main);
      bytes[at] = value;
      await read(bytes, 50).catch((error: unknown) =>
        assert.match(String((error as { code?: unknown }).code), /^(source-unreadable|tool-failed)$/, String(error)),
      );
    }),
    { numRuns: 300 },
  );
});

test('a file that claims four gigabytes is not gathered', async () => {
  const bytes = Buffer.from(cpioArchive([{ path: 'kept', content: 'x' }]));
  bytes.write('ffffffff', 6 + 6 * 8, 'latin1');
  await assert.rejects(read(bytes), { code: 'source-unreadable' });
});

test('an initrd of ten gigabytes is not read at all', async () => {
  const opened = assert.fail;
  await assert.rejects(
    readInitrd({ size: 10 * 1024 ** 3, open: () => opened('it is read') }, () => false, signal),
    {
      code: 'source-unreadable',
    },
  );
});

test('something else is no initrd', async () => {
  await assert.rejects(read(Buffer.from('\x7fELF and more')), {
    code: 'source-unreadable',
    message: /neither an archive/,
  });
  assert.equal((await read(Buffer.alloc(0))).size, 0);
});
