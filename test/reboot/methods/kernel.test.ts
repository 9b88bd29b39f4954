/** What a boot image starts, as far as two of them are compared. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readKernel, withoutRootHash } from '../../../src/reboot/methods/kernel.ts';
import { rootHashOfVersion } from '../../support/esp.ts';
import { peFile } from '../../support/pe.ts';
import { readerOf } from '../../support/readers.ts';

const read = (sections: Record<string, string>) => readKernel(readerOf(peFile(Object.entries(sections))));
const base = { '.cmdline': `quiet roothash=${rootHashOfVersion('1')} ro`, '.linux': 'kernel', '.initrd': 'initrd' };

test('two images that differ in nothing but version and root start the same kernel', async () => {
  const one = await read({ '.osrel': 'VERSION_ID=1', ...base });
  const other = await read({
    ...base,
    '.osrel': 'VERSION_ID=2',
    '.cmdline': `quiet  roothash=${rootHashOfVersion('2')} ro`,
  });
  assert.deepEqual({ ...other, rootHash: one.rootHash }, one);
});

test('another kernel, initrd, microcode or command line is seen', async () => {
  const { rootHash: _, ...one } = await read(base);
  for (const change of [
    { '.linux': 'Kernel' },
    { '.initrd': 'initrD' },
    { '.ucode': 'new' },
    // Where one section ends and the next begins counts, too.
    { '.ucode': 'i', '.initrd': 'nitrd' },
    { '.cmdline': `${base['.cmdline']} debug` },
    { '.dtb': 'tree' },
    { '.efifw': 'firmware' },
    { '.pcrpkey': 'key' },
  ]) {
    const { rootHash: __, ...other } = await read({ ...base, ...change });
    assert.notDeepEqual(other, one, JSON.stringify(change));
  }
});

test('device trees and whatever else starts with the kernel are compared, signed measurements, which name the root, are not', async () => {
  const of = async (...more: [string, string][]) =>
    (await readKernel(readerOf(peFile([...Object.entries(base), ...more])))).others;
  assert.equal(await of(['.pcrsig', 'one']), await of(['.pcrsig', 'other']));
  assert.notEqual(await of(['.dtb', 'one']), await of(['.dtb', 'other']));
  const several = await of(['.dtbauto', 'x'], ['.dtbauto', 'y']);
  assert.notEqual(several, await of(['.dtbauto', 'x'], ['.dtbauto', 'z']));
  assert.equal(several, await of(['.dtbauto', 'x'], ['.dtbauto', 'y']));
});

test('sections that only the boot loader can use, and the release of the kernel, are told', async () => {
  assert.equal((await read({ ...base, '.uname': '6.12.1\n' })).release, '6.12.1');
  for (const name of ['.dtb', '.pcrsig', '.profile', '.efifw'])
    assert.equal((await read({ ...base, [name]: 'x' })).beyondKexec, name);
  assert.equal((await read({ ...base, '.sbat': 'x', '.splash': 'x' })).beyondKexec, undefined);
});

test('an image without a kernel, without or with two root hashes, or with two of a kind is refused', async () => {
  const { '.linux': _, ...headless } = base;
  const hash = `roothash=${rootHashOfVersion('1')}`;
  for (const sections of [headless, { ...base, '.cmdline': 'quiet' }, { ...base, '.cmdline': `${hash} ${hash}` }])
    await assert.rejects(read(sections), { code: 'uki-invalid' });
  const twice = peFile([...Object.entries(base), ['.linux', 'another']]);
  await assert.rejects(readKernel(readerOf(twice)), { code: 'uki-invalid' });
});

test('command lines are compared without the root hash and without the count of starts by kexec', () => {
  assert.equal(withoutRootHash('a  "b c"\troothash=12 tandem.kexecs=4 d'), 'a "b c" d');
});
