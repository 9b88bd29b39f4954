/** What the dynamic linker needs to know of an ELF file. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readElf } from '../../src/formats/elf.ts';
import { readPart } from '../../src/system/files.ts';
import { ARM64, elfFile } from '../support/elf.ts';

const read = (bytes: Uint8Array) => readElf(async (offset, length) => bytes.subarray(offset, offset + length));

test('names of libraries, versions, interpreter and folders are read', async () => {
  const found = await read(
    elfFile({
      interpreter: '/lib/ld.so',
      needed: ['libb.so', 'liba.so'],
      runPath: '$ORIGIN/../lib:/opt/lib',
      requires: { 'liba.so': ['A_1', 'A_2'], 'libb.so': ['B_1'] },
      provides: ['C_1', 'C_2'],
    }),
  );
  assert.deepEqual(found, {
    machine: 'x86-64',
    interpreter: '/lib/ld.so',
    needed: ['libb.so', 'liba.so'],
    searched: ['$ORIGIN/../lib', '/opt/lib'],
    requires: new Map([
      ['liba.so', ['A_1', 'A_2']],
      ['libb.so', ['B_1']],
    ]),
    provides: ['C_1', 'C_2'],
  });
  assert.equal((await read(elfFile({ machine: ARM64 })))?.machine, 'arm64');
  assert.equal((await read(elfFile({ machine: 8 })))?.machine, 'other');
});

test('other files are not ELF', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('#!/bin/sh\n'), Buffer.alloc(100)])
    assert.equal(await read(bytes), undefined);
});

test('the runtime of these tests needs libraries, and versions of them', async () => {
  const found = await readElf(
    async (offset, length) => (await readPart(process.execPath, offset, length))?.bytes ?? Buffer.alloc(0),
  );
  assert.ok(found?.needed.includes('libc.so.6'));
  assert.match(found?.interpreter ?? '', /ld-linux/);
  assert.ok(found?.requires.get('libc.so.6')?.some((version) => version.startsWith('GLIBC_2.')));
});

test('a file that is damaged anywhere is read or refused, and never for long', async () => {
  const whole = elfFile({
    interpreter: '/lib/ld.so',
    needed: ['liba.so'],
    requires: { 'liba.so': ['A_1'] },
    provides: ['C_1', 'C_2'],
  });
  const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(damage, fc.nat(whole.length), async (changes, cut) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      let reads = 0;
      await readElf(async (offset, length) => {
        reads += 1;
        return bytes.subarray(0, cut).subarray(offset, offset + length);
      }).catch((error: unknown) => assert.ok(error instanceof TypeError, String(error)));
      assert.ok(reads < 20_000);
    }),
    { numRuns: 500 },
  );
});
