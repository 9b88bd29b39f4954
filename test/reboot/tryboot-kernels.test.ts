/** The kernel files of a Raspberry Pi's boot partition: what is put there, refused and removed. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Version } from '../../src/model.ts';
import { formatPartName } from '../../src/reboot/kernels/entry-name.ts';
import { trybootKernels, UKI_NAME } from '../../src/reboot/kernels/tryboot-kernels.ts';
import type { Files } from '../../src/system/files.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { PRODUCT, rootHashOfVersion } from '../support/esp.ts';
import { peFile } from '../support/pe.ts';
import { RecordingDisk } from '../support/recording-disk.ts';
import { oneChunk, piIncoming, piUki } from '../support/tryboot-machine.ts';
import { DIRS, FIRMWARE, kernelsOn, put, storage, unpacked } from '../support/tryboot-storage.ts';

const partName = (version: string): string => formatPartName(PRODUCT, version as Version);

test('the kernel of a slot is told by its root hash, its version and its bytes', async () => {
  const kernels = kernelsOn(storage());
  assert.deepEqual([await kernels.rootHash('a'), await kernels.versionOf('a')], [rootHashOfVersion('2'), '2']);
  const open = await kernels.open('a');
  assert.deepEqual(Buffer.from((await open?.read(0, 4000)) ?? []), Buffer.from(piUki('2').subarray(0, 4000)));
});

const kernel = Buffer.from(`${'.'.repeat(56)}ARM\x64${'.'.repeat(60)}`, 'latin1');
const release: readonly [string, string] = ['.osrel', `ID=${PRODUCT}\nIMAGE_VERSION=3\n`];
const commandLine: readonly [string, string] = ['.cmdline', `roothash=${rootHashOfVersion('3')}`];
const UNFIT: readonly (readonly [name: string, sections: readonly (readonly [string, string | Uint8Array])[]])[] = [
  ['for another processor', [release, commandLine, ['.linux', 'MZ kernel'.repeat(20)], ['.initrd', 'initrd']]],
  ['without an initrd', [release, commandLine, ['.linux', kernel]]],
  ['with an empty initrd', [release, commandLine, ['.linux', kernel], ['.initrd', '']]],
  ['without a kernel', [release, commandLine, ['.initrd', 'initrd']]],
  [
    'with a command line of two lines',
    [release, ['.cmdline', `a\nroothash=${rootHashOfVersion('3')}`], ['.linux', kernel], ['.initrd', 'initrd']],
  ],
];
for (const [name, sections] of UNFIT)
  test(`a UKI ${name} is refused, and the slot cannot be armed`, async () => {
    const disk = storage();
    const bytes = peFile(sections);
    await assert.rejects(kernelsOn(disk).put('b', piIncoming('3', bytes), oneChunk(bytes)), { code: 'uki-invalid' });
    assert.equal(await kernelsOn(disk).versionOf('b'), undefined);
  });

test('a kernel in gzip is one that the firmware starts', async () => {
  const bytes = peFile([release, commandLine, ['.linux', Buffer.from([0x1f, 0x8b, 8, 0])], ['.initrd', 'initrd']]);
  const disk = storage();
  await kernelsOn(disk).put('b', piIncoming('3', bytes), oneChunk(bytes));
  assert.equal(await kernelsOn(disk).versionOf('b'), '3');
});

test('a boot partition that is not mounted is refused before anything is written', async () => {
  const disk = new RecordingDisk({ dirs: [DIRS.b] });
  await assert.rejects(kernelsOn(disk).checkRoom('b', 10), { code: 'boot-partition-missing' });
  await assert.rejects(put(disk), { code: 'boot-partition-missing' });
  assert.deepEqual(disk.log, []);
});

test('room is counted twice, for the UKI and for what comes out of it, less what will be gone', async () => {
  const disk = storage();
  await disk.files.write(join(DIRS.b, `${UKI_NAME}.tandem-new`), [Buffer.alloc(1000)]);
  await disk.files.write(join(DIRS.b, partName('3')), [Buffer.alloc(200)]);
  const gone = Object.values(unpacked('1')).reduce((sum, { length }) => sum + length, 1200);
  const need = 2 * 1_000_000 + 128 * 1024;
  await kernelsOn(disk, need - gone).checkRoom('b', 1_000_000);
  await assert.rejects(kernelsOn(disk, need - gone - 1).checkRoom('b', 1_000_000), { code: 'esp-full' });
});

test('a part that becomes the kernel takes the place of the last, which goes before anything comes out of the new one', async () => {
  const disk = storage();
  await disk.files.write(join(DIRS.b, partName('3')), [piUki('3')]);
  const before = disk.log.length;
  assert.equal(await kernelsOn(disk).adoptPart('b', piIncoming('3')), true);
  const ops = disk.log.slice(before).map((op) => `${op.op} ${'path' in op ? op.path : ''}`);
  const gone = ops.indexOf(`remove ${join(DIRS.b, UKI_NAME)}`);
  assert.ok(gone >= 0 && gone < ops.indexOf(`write ${join(DIRS.b, 'kernel8.img')}`), ops.join('\n'));
  assert.deepEqual(await heldBy(disk, 'b'), heldOf({ ...FIRMWARE, ...unpacked('3') }));
});

test('a command line as long as it may be, and an initrd of one byte, come out whole', async () => {
  const text = `roothash=${rootHashOfVersion('3')} `.padEnd(64 * 1024, 'x');
  const uki = peFile([release, ['.cmdline', text], ['.linux', kernel], ['.initrd', 'i']]);
  const disk = storage();
  await kernelsOn(disk).put('b', piIncoming('3', uki), oneChunk(uki));
  const { 'cmdline.txt': line, initramfs } = await heldBy(disk, 'b');
  assert.deepEqual([line, initramfs], [`${text}\n`, 'i']);
});

/** Each file that the firmware reads, or the UKI itself. */
for (const file of ['kernel8.img', 'initramfs', 'cmdline.txt'])
  test(`a slot whose ${file} reads back with one other byte has no kernel`, async () => {
    const disk = storage();
    const damaged: Uint8Array[] = [];
    const files: Files = {
      ...disk.files,
      read: async (path) => {
        const bytes = await disk.files.read(path);
        if (!bytes || path !== join(DIRS.b, file)) return bytes;
        const other = Uint8Array.from(bytes);
        other[other.length - 1] = (other.at(-1) ?? 0) ^ 1;
        damaged.push(other);
        return other;
      },
    };
    const kernels = trybootKernels({ files, dirs: DIRS, product: PRODUCT, log: silentLog }, async () => 1e9);
    await assert.rejects(kernels.put('b', piIncoming('3'), oneChunk(piUki('3'))), {
      code: 'file-mismatch',
      message: new RegExp(file.replace('.', '\\.')),
    });
    assert.ok(damaged.length > 0);
    assert.equal(await kernelsOn(disk).versionOf('b'), undefined);
    assert.equal(await kernelsOn(disk).versionOf('a'), '2');
  });

test('a kernel that is put lies there with all that comes out of it and nothing else, and the journal is told', async () => {
  const disk = storage();
  const said: unknown[] = [];
  const log = { ...silentLog, info: (facts: unknown) => void said.push(facts) } as Log;
  const kernels = trybootKernels({ files: disk.files, dirs: DIRS, product: PRODUCT, log }, async () => 1e9);
  await disk.files.write(join(DIRS.b, 'stray.tandem-new'), [Buffer.from('torn')]);
  await kernels.put('b', piIncoming('3'), oneChunk(piUki('3')));
  assert.deepEqual(await heldBy(disk, 'b'), heldOf({ ...FIRMWARE, ...unpacked('3') }));
  assert.deepEqual(await heldBy(disk, 'a'), heldOf({ ...FIRMWARE, ...unpacked('2') }));
  assert.deepEqual(said, [{ slot: 'b', version: '3' }]);
});

test('the UKI goes first and comes last, after all that is taken out of it is on the medium', async () => {
  const disk = storage();
  await put(disk);
  const uki = join(DIRS.b, UKI_NAME);
  const places = ['kernel8.img', 'initramfs', 'cmdline.txt'].map((name) => join(DIRS.b, name));
  const ops = disk.log.map((op) =>
    'path' in op ? `${op.op} ${op.path}` : 'to' in op ? `to ${op.to}` : 'dir' in op ? `${op.op} ${op.dir}` : op.op,
  );
  const first = (what: string): number => ops.indexOf(what);
  const last = (what: string): number => ops.lastIndexOf(what);
  const named = first(`to ${uki}`);
  assert.ok(ops.findIndex((one) => one.startsWith('remove')) === first(`remove ${uki}`));
  assert.equal(ops[first(`remove ${uki}`) + 1], `syncDir ${DIRS.b}`);
  for (const path of places) {
    assert.ok(last(`remove ${uki}`) < last(`write ${path}`), path);
    assert.ok(last(`write ${path}`) < last(`syncFile ${path}`) && last(`syncFile ${path}`) < named, path);
    assert.ok(ops.slice(last(`write ${path}`), named).includes(`syncDir ${DIRS.b}`), path);
  }
  assert.equal(ops[named + 1], `syncDir ${DIRS.b}`);
});

test('a slot for which a kernel is put together holds none, nor anything that came out of the last', async () => {
  const disk = storage();
  const part = await kernelsOn(disk).openPart('b', '3' as Version, 1000);
  assert.equal(part.size, 0);
  assert.deepEqual(await heldBy(disk, 'b'), heldOf(FIRMWARE));
  assert.deepEqual(await heldBy(disk, 'a'), heldOf({ ...FIRMWARE, ...unpacked('2') }));
});

test('parts are removed from both slots', async () => {
  const disk = storage();
  for (const slot of ['a', 'b'] as const)
    await disk.files.write(join(DIRS[slot], partName('3')), [Buffer.from('part')]);
  await kernelsOn(disk).removeParts();
  for (const [slot, version] of [
    ['a', '2'],
    ['b', '1'],
  ] as const)
    assert.deepEqual(await heldBy(disk, slot), heldOf({ ...FIRMWARE, ...unpacked(version) }));
});

test('a part that is not the promised kernel is not taken, and the slot keeps what it holds', async () => {
  for (const bytes of [undefined, piUki('4'), piUki('3').subarray(1)]) {
    const disk = storage();
    if (bytes) await disk.files.write(join(DIRS.b, partName('3')), [bytes]);
    assert.equal(await kernelsOn(disk).adoptPart('b', piIncoming('3')), false);
    assert.equal(await kernelsOn(disk).versionOf('b'), '1');
  }
});

test('what would not fit or start is found out from the bundle, before anything is written', async () => {
  const disk = storage();
  const fits = (bytes: Uint8Array, wanted = piIncoming('3', bytes)) =>
    kernelsOn(disk).checkFit('b', wanted, {
      size: bytes.length,
      read: async (at, length) => bytes.subarray(at, at + length),
    });
  await fits(piUki('3'));
  await assert.rejects(fits(piUki('3'), piIncoming('4')), { code: 'uki-mismatch' });
  for (const [, sections] of UNFIT) await assert.rejects(fits(peFile(sections)), { code: 'uki-invalid' });
  assert.deepEqual(disk.log, []);
});

for (const [what, names] of [
  ['the kernel and what is left of writing one', [UKI_NAME, `${UKI_NAME}.tandem-new`]],
  ['the kernel and a part', [UKI_NAME, partName('3')]],
  ['what is left of writing one and a part', [`${UKI_NAME}.tandem-new`, partName('3')]],
] as const)
  test(`where ${what} are one file, nothing is written or removed`, async () => {
    const disk = storage();
    for (const name of names) await disk.files.write(join(DIRS.b, name), [piUki('3')]);
    const before = disk.log.length;
    const kernels = kernelsOn(disk);
    const bytes = piUki('3');
    const content = { size: bytes.length, read: async (at: number, length: number) => bytes.subarray(at, at + length) };
    for (const deed of [
      () => kernels.checkFit('b', piIncoming('3'), content),
      () => kernels.openPart('b', '3' as Version, bytes.length),
      () => kernels.adoptPart('b', piIncoming('3')),
      () => put(disk),
    ])
      await assert.rejects(deed(), { code: 'boot-file-shared' });
    assert.equal(disk.log.length, before);
  });

test('a boot partition that is not mounted is told from a slot without a kernel', async () => {
  const config = Buffer.from('');
  const on = (...paths: string[]): RecordingDisk =>
    new RecordingDisk({ files: new Map(paths.map((path) => [path, config])), dirs: [DIRS.a, DIRS.b] });
  for (const [disk, slots] of [
    [on(), 'ab'],
    [on('/boot/a/config.txt'), 'b'],
    [on('/boot/b/config.txt'), 'a'],
  ] as const) {
    const missing = { code: 'boot-partition-missing', message: new RegExp(`slot ${slots[0]}`) };
    await assert.rejects(kernelsOn(disk).checkRoom('b', 10), missing);
    for (const slot of ['a', 'b'] as const) {
      const version = kernelsOn(disk).versionOf(slot);
      if (slots === 'ab')
        await assert.rejects(version, { code: 'boot-partition-missing', message: new RegExp(`slot ${slot}`) });
      else assert.equal(await version, undefined);
      assert.equal(await kernelsOn(disk).rootHash(slot), undefined);
      assert.equal(await kernelsOn(disk).open(slot), undefined);
    }
  }
});

test('of a kernel in gzip the firmware knows the first bytes, and wants more than those', async () => {
  for (const [bytes, fits] of [
    [[0x1f, 0x8b, 8], true],
    [[0x1f, 0x8b], false],
    [[0x1f, 0x8c, 8], false],
  ] as const) {
    const disk = storage();
    const uki = peFile([release, commandLine, ['.linux', Uint8Array.from(bytes)], ['.initrd', 'initrd']]);
    const done = kernelsOn(disk).put('b', piIncoming('3', uki), oneChunk(uki));
    if (fits) await done;
    else await assert.rejects(done, { code: 'uki-invalid' });
  }
});

const heldOf = (files: Record<string, Uint8Array>): Record<string, string> =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes).toString('latin1')]));

async function heldBy(disk: RecordingDisk, slot: 'a' | 'b'): Promise<Record<string, string>> {
  const names = await disk.files.list(DIRS[slot]);
  const read = names.map(
    async (name) => [name, (await disk.files.read(join(DIRS[slot], name))) ?? new Uint8Array()] as const,
  );
  return heldOf(Object.fromEntries(await Promise.all(read)));
}
