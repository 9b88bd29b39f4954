/** The kernels under fixed names: power may fail anywhere, and what a boot loader could start is whole. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SlotName, Version } from '../../src/model.ts';
import type { Kernels } from '../../src/reboot/kernels/kernels.ts';
import { type KernelEsp, kernelName, slotKernels } from '../../src/reboot/kernels/slot-kernels.ts';
import { silentLog } from '../../src/system/log.ts';
import { incoming, PRODUCT, rootHashOfVersion, sha256, uki } from '../support/esp.ts';
import { peFile } from '../support/pe.ts';
import { RecordingDisk } from '../support/recording-disk.ts';

const DIR = '/esp/EFI/tandem';
const LOSSES = 20;
const EMPTY = new Uint8Array(0);
const PART = `.${PRODUCT}_3.efi.tandem-part`;
const v = (text: string): Version => text as Version;

const kernelsOn = (files: KernelEsp['files'], dir = '/esp', free = 0) =>
  slotKernels({ files, dir, product: PRODUCT, log: silentLog }, async () => free);

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 500) yield bytes.subarray(at, at + 500);
}

const put = (kernels: Kernels, slot: SlotName, version: string, bytes = uki(version)): Promise<void> =>
  kernels.put(slot, incoming(version, bytes), pieces(bytes));

/** The delta's way: block by block, in any order. */
async function assemble(kernels: Kernels): Promise<void> {
  const bytes = uki('3');
  const part = await kernels.openPart('b', v('3'), bytes.length);
  await part.write(1000, bytes.subarray(1000));
  await part.write(0, bytes.subarray(0, 1000));
  await part.flush();
  assert.equal(await kernels.adoptPart('b', incoming('3')), true);
}

/** `syncs`: how many, each left out alone, must be noticed. */
type Scene = Readonly<{
  name: string;
  files: Record<string, Uint8Array>;
  act: (kernels: Kernels) => Promise<void>;
  syncs: number;
}>;

const OLD = { 'a.efi': uki('2'), 'b.efi': uki('1') };
const SCENES: readonly Scene[] = [
  { name: 'putting a kernel', files: OLD, act: (kernels) => put(kernels, 'b', '3'), syncs: 3 },
  {
    name: 'putting a kernel beside what earlier attempts left',
    files: { 'a.efi': uki('2'), 'b.efi.tandem-new': uki('1').subarray(0, 700), 'a.efi.tandem-new': uki('0') },
    act: (kernels) => put(kernels, 'b', '3'),
    // There is no old kernel whose removal could be lost.
    syncs: 2,
  },
  { name: 'putting a kernel together', files: OLD, act: assemble, syncs: 1 },
  {
    name: 'adopting what lies there whole',
    files: { ...OLD, [PART]: uki('3') },
    act: async (kernels) => assert.ok(await kernels.adoptPart('b', incoming('3'))),
    // The bytes are on the medium already.
    syncs: 2,
  },
];

const storage = ({ files }: Pick<Scene, 'files'>, options: Readonly<{ dropSync?: number }> = {}): RecordingDisk =>
  new RecordingDisk({
    files: new Map(Object.entries(files).map(([file, bytes]) => [join(DIR, file), bytes])),
    dirs: [DIR],
    ...options,
  });

/** What lies under the two names, as the version of a whole kernel. */
async function picture({ files }: RecordingDisk): Promise<Record<SlotName, string | undefined>> {
  const version = async (slot: SlotName): Promise<string | undefined> => {
    const bytes = await files.read(join('/esp', kernelName(slot)));
    if (!bytes?.length) return undefined;
    return ['0', '1', '2', '3'].find((one) => sha256(uki(one)) === sha256(bytes)) ?? 'torn';
  };
  return { a: await version('a'), b: await version('b') };
}

/** FAT cannot put a file in the place of another at one stroke: no name is renamed to that may still be on the medium. */
async function renamesOverNothing(run: RecordingDisk): Promise<void> {
  for (const [count, op] of run.log.entries()) {
    if (op.op !== 'rename') continue;
    for (let seed = 0; seed < LOSSES; seed++)
      assert.equal(await run.crashAt(count, seed).files.read(op.to), undefined, `${op.to} may still be there`);
  }
}

/** Throws when a power cut during or right after the scene has a consequence. */
async function survives(run: RecordingDisk): Promise<number> {
  await renamesOverNothing(run);
  let count = 0;
  for (const cut of run.crashStates(1, LOSSES)) {
    const when = `after ${run.describe(cut.count)}`;
    const found = await picture(cut.world);
    assert.equal(found.a, '2', `the other slot's kernel is gone ${when}`);
    assert.notEqual(found.b, 'torn', `the slot's name holds a torn kernel ${when}`);
    if (cut.count === run.log.length) assert.equal(found.b, '3', `not durable ${when}`);
    await put(kernelsOn(cut.world.files), 'b', '3');
    await kernelsOn(cut.world.files).removeParts();
    assert.deepEqual(await cut.world.files.list(DIR), ['a.efi', 'b.efi'], `repeated in vain ${when}`);
    assert.deepEqual(await picture(cut.world), { a: '2', b: '3' }, `repeated in vain ${when}`);
    count++;
  }
  return count;
}

for (const scene of SCENES) {
  test(`${scene.name}: power may fail anywhere, and no name holds a torn kernel`, async (t) => {
    const run = storage(scene);
    await scene.act(kernelsOn(run.files));
    t.diagnostic(`${await survives(run)} power cuts`);
  });

  test(`${scene.name}: leaving out a sync that matters is noticed`, async (t) => {
    const run = storage(scene);
    await scene.act(kernelsOn(run.files));
    const noticed: number[] = [];
    for (let dropSync = 0; dropSync < run.syncs; dropSync++) {
      const sloppy = storage(scene, { dropSync });
      await scene.act(kernelsOn(sloppy.files));
      await survives(sloppy).catch((error: unknown) => {
        if (!(error instanceof assert.AssertionError)) throw error;
        noticed.push(dropSync);
      });
    }
    t.diagnostic(`noticed ${noticed} of ${run.syncs}`);
    assert.ok(noticed.length >= scene.syncs, `of ${run.syncs} syncs only ${noticed} were missed`);
  });
}

/** FAT gives a file its new name, empty at first and then with the same clusters, before it takes the old one away. */
async function* halfRenames(): AsyncGenerator<Readonly<{ files: Map<string, Uint8Array>; from: string; to: string }>> {
  for (const scene of SCENES) {
    const run = storage(scene);
    await scene.act(kernelsOn(run.files));
    for (const [count, op] of run.log.entries()) {
      if (op.op !== 'rename') continue;
      const { files } = run.crashAt(count);
      const names = (await files.list(DIR)).map((name) => join(DIR, name));
      const contents = await Promise.all(names.map(async (name) => [name, (await files.read(name)) ?? EMPTY] as const));
      yield { files: new Map(contents), from: op.from, to: op.to };
    }
  }
}

test('a rename that power has cut, and a check has undone or completed, is repeated', async (t) => {
  let count = 0;
  for await (const { files, from, to } of halfRenames())
    for (const [whole, empty] of [
      [from, to],
      [to, from],
    ] as const) {
      const disk = new RecordingDisk({ files: new Map([...files, [whole, uki('3')], [empty, EMPTY]]), dirs: [DIR] });
      await put(kernelsOn(disk.files), 'b', '3');
      await kernelsOn(disk.files).removeParts();
      assert.deepEqual(await disk.files.list(DIR), ['a.efi', 'b.efi']);
      assert.deepEqual(await picture(disk), { a: '2', b: '3' });
      count++;
    }
  t.diagnostic(`${count} half renames`);
});

test('where nothing has checked the file system, no name is removed while another leads to the same file', async () => {
  for await (const { files, from, to } of halfRenames()) {
    const disk = new RecordingDisk({ files: new Map([...files, [from, uki('3')], [to, uki('3')]]), dirs: [DIR] });
    const kernels = kernelsOn(disk.files);
    await assert.rejects(put(kernels, 'b', '3'), { code: 'boot-file-shared' });
    await assert.rejects(kernels.openPart('b', v('3'), uki('3').length), { code: 'boot-file-shared' });
    await assert.rejects(kernels.adoptPart('b', incoming('3')), { code: 'boot-file-shared' });
    assert.deepEqual(disk.log, []);
  }
});

test('both slots may have the same kernel, and what is no kernel may be there twice', async () => {
  const others = { grubenv: Buffer.from('of GRUB'), grubenv2: Buffer.from('of GRUB') };
  const disk = storage({ files: { 'a.efi': uki('2'), 'b.efi': uki('2'), ...others } });
  await put(kernelsOn(disk.files), 'b', '3');
  assert.deepEqual(await picture(disk), { a: '2', b: '3' });
});

test('the kernel of a slot is told by its root hash, its version and its bytes', async () => {
  const disk = storage({ files: { 'a.efi': uki('2') } });
  const kernels = kernelsOn(disk.files);
  assert.deepEqual([await kernels.rootHash('a'), await kernels.versionOf('a')], [rootHashOfVersion('2'), '2']);
  const open = await kernels.open('a');
  assert.equal(open?.size, uki('2').length);
  assert.deepEqual(Buffer.from((await open?.read(100, 50)) ?? []), Buffer.from(uki('2').subarray(100, 150)));
  assert.deepEqual(
    [await kernels.rootHash('b'), await kernels.versionOf('b'), await kernels.open('b')],
    [undefined, undefined, undefined],
  );
});

const release = (osRelease: string): Uint8Array =>
  peFile([
    ['.osrel', osRelease],
    ['.cmdline', `roothash=${rootHashOfVersion('3')}`],
  ]);
const VERSIONS: readonly (readonly [osRelease: string, version: string])[] = [
  ['VERSION="12 (bookworm)"\nVERSION_ID=3\n', '3'],
  ['VERSION_ID=3\nIMAGE_VERSION=4\n', '4'],
  ['NAME=none\n', '0'],
];

for (const [osRelease, version] of VERSIONS)
  test(`a kernel whose os-release is ${JSON.stringify(osRelease)} is version ${version}`, async () => {
    const kernels = kernelsOn(storage({ files: OLD }).files);
    await put(kernels, 'b', '3', release(osRelease));
    assert.equal(await kernels.versionOf('b'), version);
  });

test('a damaged kernel is none', async () => {
  const files = { 'b.efi': uki('3').subarray(0, 300) };
  const kernels = kernelsOn(storage({ files }).files);
  assert.deepEqual([await kernels.rootHash('b'), await kernels.versionOf('b')], [undefined, undefined]);
});

test('a kernel other than promised is refused, and leaves the slot without one', async () => {
  const disk = storage({ files: OLD });
  const kernels = kernelsOn(disk.files);
  await assert.rejects(kernels.put('b', incoming('3'), pieces(uki('2'))), { code: 'file-mismatch' });
  await assert.rejects(kernels.put('b', incoming('3', uki('2')), pieces(uki('2'))), { code: 'uki-mismatch' });
  assert.deepEqual(await disk.files.list(DIR), ['a.efi']);
});

test('a part that is not the promised kernel is not adopted, and the slot keeps what it has', async () => {
  const wrong = uki('3').fill(1, 500);
  const disk = storage({ files: { ...OLD, [PART]: wrong } });
  assert.equal(await kernelsOn(disk.files).adoptPart('b', incoming('3')), false);
  assert.deepEqual(await picture(disk), { a: '2', b: '1' });
});

test('what an earlier attempt has put together is continued, and what is of no use removed', async () => {
  const files = { ...OLD, [PART]: uki('3').subarray(0, 800), [PART.replace('3', '4')]: uki('9') };
  const disk = storage({ files });
  const kernels = kernelsOn(disk.files);
  const part = await kernels.openPart('b', v('3'), uki('3').length);
  assert.equal(part.size, 800);
  assert.deepEqual(await disk.files.list(DIR), [PART, 'a.efi']);
  await kernels.removeParts();
  assert.deepEqual(await disk.files.list(DIR), ['a.efi']);
});

test('room on the ESP is counted with what will be gone', async () => {
  const files = { ...OLD, [PART]: uki('4'), 'b.efi.tandem-new': uki('9') };
  const disk = storage({ files });
  const gone = uki('1').length + uki('4').length + uki('9').length;
  const need = 1_000_000 + 128 * 1024;
  await kernelsOn(disk.files, '/esp', need - gone).checkRoom('b', 1_000_000);
  await assert.rejects(kernelsOn(disk.files, '/esp', need - gone - 1).checkRoom('b', 1_000_000), { code: 'esp-full' });
});

test('where the ESP is not mounted, which lacks the kernel of the running slot, nothing is written and the place is named', async () => {
  for (const disk of [new RecordingDisk(), storage({ files: { 'b.efi': uki('1') } })]) {
    const kernels = kernelsOn(disk.files, '/esp', 10_000_000);
    const missing = { code: 'boot-partition-missing', message: /\/esp\/EFI\/tandem\/a\.efi.*mounted on \/esp/ };
    await assert.rejects(kernels.checkRoom('b', 1000), missing);
    await assert.rejects(put(kernels, 'b', '3'), missing);
    await assert.rejects(kernels.openPart('b', v('3'), 1000), missing);
    await assert.rejects(kernels.adoptPart('b', incoming('3')), missing);
    assert.deepEqual(disk.log, []);
  }
});
