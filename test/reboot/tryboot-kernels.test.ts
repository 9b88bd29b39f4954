/** The kernel files of a Raspberry Pi's boot partition: power may fail anywhere, and a slot that has its UKI has the rest of it too. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Version } from '../../src/model.ts';
import { trybootKernels, UKI_NAME } from '../../src/reboot/bootloaders/tryboot-kernels.ts';
import type { Files } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { peSection } from '../../src/system/pe.ts';
import { PRODUCT, rootHashOfVersion } from '../support/esp.ts';
import { peFile } from '../support/pe.ts';
import { RecordingDisk } from '../support/recording-disk.ts';
import { oneChunk, piIncoming, piUki } from '../support/tryboot-machine.ts';

const DIRS = { a: '/boot/a', b: '/boot/b' };
const FIRMWARE = { 'config.txt': Buffer.from('kernel=kernel8.img\n'), 'start4.elf': Buffer.from('firmware') };
const PARTS = [
  ['kernel8.img', '.linux'],
  ['initramfs', '.initrd'],
] as const;
const LOSSES = 15;

/** Both partitions with the firmware's files; slot a with version 2, slot b with version 1. */
function storage(options: Readonly<{ dropSync?: number }> = {}): RecordingDisk {
  const files = new Map<string, Uint8Array>();
  for (const [slot, version] of [
    ['a', '2'],
    ['b', '1'],
  ] as const)
    for (const [name, bytes] of Object.entries({ ...FIRMWARE, ...unpacked(version) }))
      files.set(join(DIRS[slot], name), bytes);
  return new RecordingDisk({ files, dirs: ['/boot', DIRS.a, DIRS.b], ...options });
}

function unpacked(version: string): Record<string, Uint8Array> {
  const uki = piUki(version);
  const parts = PARTS.map(([name, section]) => [name, peSection(uki, section) ?? assert.fail(section)]);
  const commandLine = Buffer.from(`quiet roothash=${rootHashOfVersion(version)} ro\n`);
  return { ...Object.fromEntries(parts), 'cmdline.txt': commandLine, [UKI_NAME]: uki };
}

const kernelsOn = ({ files }: RecordingDisk, free = 1e9) =>
  trybootKernels({ files, dirs: DIRS, product: PRODUCT, log: silentLog }, async () => free);

const put = (disk: RecordingDisk, version = '3') =>
  kernelsOn(disk).put('b', piIncoming(version), oneChunk(piUki(version)));

async function assemble(disk: RecordingDisk): Promise<void> {
  const bytes = piUki('3');
  const part = await kernelsOn(disk).openPart('b', '3' as Version, bytes.length);
  await part.write(1000, bytes.subarray(1000));
  await part.write(0, bytes.subarray(0, 1000));
  await part.flush();
  assert.equal(await kernelsOn(disk).adoptPart('b', piIncoming('3')), true);
}

/** A slot that would be armed starts exactly the kernel that its UKI holds; the other slot and the firmware are never touched. */
async function check(disk: RecordingDisk, isDone: boolean, when: string): Promise<void> {
  const found = async (slot: 'a' | 'b') => {
    const names = (await disk.files.list(DIRS[slot])).filter((name) => !/\.tandem-/.test(name));
    const read = names.map(async (name) => [name, Buffer.from((await disk.files.read(join(DIRS[slot], name))) ?? [])]);
    return Object.fromEntries(await Promise.all(read)) as Record<string, Buffer>;
  };
  const whole = (version: string) => asBuffers({ ...FIRMWARE, ...unpacked(version) });
  assert.deepEqual(await found('a'), whole('2'), `slot a was touched ${when}`);
  const now = await found('b');
  const version = await kernelsOn(disk).versionOf('b');
  if (isDone) assert.equal(version, '3', `not durable ${when}`);
  if (version !== undefined) assert.deepEqual(now, whole(version), `slot b is a mixture ${when}`);
  for (const [name, bytes] of Object.entries(FIRMWARE)) assert.deepEqual(now[name], bytes, when);
}

const asBuffers = (files: Record<string, Uint8Array>): Record<string, Buffer> =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes)]));

async function everyCut(disk: RecordingDisk): Promise<number> {
  let count = 0;
  for (const cut of disk.crashStates(1, LOSSES)) {
    await check(cut.world, cut.count === disk.log.length, `after ${disk.describe(cut.count)}`);
    count++;
  }
  return count;
}

for (const [name, act] of [
  ['putting', put],
  ['putting together', assemble],
] as const) {
  test(`${name} a kernel: power may fail anywhere, and no slot that can be armed is a mixture`, async (t) => {
    const disk = storage();
    await act(disk);
    t.diagnostic(`${await everyCut(disk)} power cuts`);
  });

  test(`${name} a kernel can be repeated after every power cut`, async () => {
    const disk = storage();
    await act(disk);
    for (const cut of disk.crashStates(2, 1)) {
      await act(cut.world);
      await check(cut.world, true, `after ${disk.describe(cut.count)}`);
      const left = await cut.world.files.list(DIRS.b);
      assert.deepEqual(left, Object.keys({ ...FIRMWARE, ...unpacked('3') }).sort());
    }
  });

  test(`${name} a kernel: leaving out a sync of what the firmware reads is noticed`, async (t) => {
    const whole = storage();
    await act(whole);
    const noticed: number[] = [];
    for (let dropSync = 0; dropSync < whole.syncs; dropSync++) {
      const sloppy = storage({ dropSync });
      await act(sloppy);
      await everyCut(sloppy).catch((error: unknown) => {
        if (!(error instanceof assert.AssertionError)) throw error;
        noticed.push(dropSync);
      });
    }
    t.diagnostic(`noticed ${noticed} of ${whole.syncs}`);
    assert.ok(noticed.length >= 5, `only ${noticed} of ${whole.syncs} were missed`);
  });
}

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
  const gone = Object.values(unpacked('1')).reduce((sum, { length }) => sum + length, 0);
  const need = 2 * 1_000_000 + 128 * 1024;
  await kernelsOn(storage(), need - gone).checkRoom('b', 1_000_000);
  await assert.rejects(kernelsOn(storage(), need - gone - 1).checkRoom('b', 1_000_000), { code: 'esp-full' });
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
