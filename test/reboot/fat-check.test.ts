/** A rename on FAT that power has cut: what the check at start makes of it, and that every verb then finds a whole kernel. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { SlotName } from '../../src/model.ts';
import { systemdBoot } from '../../src/reboot/bootloaders/systemd-boot.ts';
import { entryKernels } from '../../src/reboot/kernels/entry-kernels.ts';
import { slotKernels } from '../../src/reboot/kernels/slot-kernels.ts';
import { type EspWorld, espWorld, incoming, PRODUCT, putVersion, start, uki } from '../support/esp.ts';
import { type FatImage, fatImage, filesOn } from '../support/fat-image.ts';

/** `files`: what lies there before, by its name and version; `from` of them was getting the name `to`. */
type Rename = Readonly<{ name: string; files: Readonly<Record<string, string>>; from: string; to: string }>;

const RENAMES: readonly Rename[] = [
  { name: 'confirming', files: { 'shop_2.efi': '2', 'shop_3+2-1.efi': '3' }, from: 'shop_3+2-1.efi', to: 'shop_3.efi' },
  {
    name: 'arming',
    files: { 'shop_2.efi': '2', '.shop_3.efi.tandem-new': '3' },
    from: '.shop_3.efi.tandem-new',
    to: 'shop_3+3.efi',
  },
  {
    name: 'putting the running one last',
    files: { 'shop_2.efi': '2', 'shop_3+3.efi': '3' },
    from: 'shop_2.efi',
    to: 'shop_2+0-100.efi',
  },
  {
    name: 'counting, as the boot loader does',
    files: { 'shop_2.efi': '2', 'shop_3+3.efi': '3' },
    from: 'shop_3+3.efi',
    to: 'shop_3+2-1.efi',
  },
  {
    name: 'adopting what was put together',
    files: { 'shop_2.efi': '2', '.shop_3.efi.tandem-part': '3' },
    from: '.shop_3.efi.tandem-part',
    to: '.shop_3.efi.tandem-new',
  },
];
const FIXED: readonly Rename[] = [
  { name: 'putting', files: { 'a.efi': '2', 'b.efi.tandem-new': '3' }, from: 'b.efi.tandem-new', to: 'b.efi' },
  {
    name: 'adopting what was put together',
    files: { 'a.efi': '2', '.shop_3.efi.tandem-part': '3' },
    from: '.shop_3.efi.tandem-part',
    to: 'b.efi',
  },
];
const EFI = { linux: 'efi/linux', tandem: 'efi/tandem' };
const ORDERS = ['the old name first', 'the new name first'] as const;
/** `half`: the new name is there, and empty; `shared`: both have the clusters; `checked`: and fsck.fat has run since. */
type State = 'half' | 'shared' | 'checked';

function interrupted(dir: string, { files, from, to }: Rename, order: (typeof ORDERS)[number], state: State) {
  const place = mkdtempSync(join(tmpdir(), 'tandem-fat-'));
  const fat = fatImage(join(place, 'esp.img'));
  fat.makeDir(dir);
  const empty = (): void => fat.put(`${dir}/${to}`, new Uint8Array(0));
  if (order === 'the new name first') empty();
  for (const [name, version] of Object.entries(files)) fat.put(`${dir}/${name}`, uki(version));
  if (order === 'the old name first') empty();
  if (state !== 'half') fat.share(`${dir}/${from}`, `${dir}/${to}`);
  if (state === 'checked') assert.match(checked(fat), /share clusters\.\s+Truncating second to 0 bytes/);
  return { fat, [Symbol.dispose]: () => rmSync(dirname(fat.path), { recursive: true }) };
}

/** As systemd-fsck calls it; 1 says that it has put something right, and the second time there is nothing left to do. */
function checked(fat: FatImage): string {
  const { status, stdout } = fat.check('-a');
  assert.equal(status, 1, stdout);
  assert.equal(fat.check('-n').status, 0);
  return stdout;
}

/** Every kernel is the one of its version, and no two share a cluster. */
function allWhole(fat: FatImage, dir: string, versionIn: (name: string) => string | undefined): void {
  for (const name of fat.list(dir)) {
    const bytes = fat.get(`${dir}/${name}`) ?? assert.fail();
    // What is being put together has yet to be filled, and no boot loader takes it.
    if (bytes.length === 0 && name.endsWith('.tandem-part')) continue;
    assert.deepEqual(Buffer.from(bytes), Buffer.from(uki(versionIn(name) ?? assert.fail(name))), name);
  }
  const { status, stdout } = fat.check('-n');
  assert.equal(status, 0, stdout);
}

const espOn = (fat: FatImage): EspWorld => espWorld(filesOn(fat, '/esp').files, '/esp', { a: '2', b: '3' });

const VERBS: Readonly<Record<string, (esp: EspWorld) => Promise<SlotName>>> = {
  'confirming the running slot': async (esp) => {
    await systemdBoot(esp).confirm('a');
    return 'a';
  },
  'disabling the other and putting it anew': async (esp) => {
    await systemdBoot(esp).confirm('a');
    await systemdBoot(esp).disable('b');
    await entryKernels(esp, async () => 0).removeParts();
    await putVersion(esp, '3');
    return 'a';
  },
  'arming the other': async (esp) => {
    const kernels = entryKernels(esp, async () => 0);
    await kernels.adoptPart('b', incoming('3'));
    await systemdBoot(esp).arm('b', 2);
    return 'b';
  },
  'confirming the other': async (esp) => {
    const kernels = entryKernels(esp, async () => 0);
    await kernels.adoptPart('b', incoming('3'));
    await systemdBoot(esp).arm('b', 2);
    assert.equal(await start(esp), 'b');
    await systemdBoot(esp).confirm('b');
    return 'b';
  },
};

for (const rename of RENAMES)
  for (const state of ['half', 'checked'] as const)
    test(`${rename.name}, ${state}: each verb leaves whole kernels, wherever the names stand in the folder`, async (t) => {
      for (const order of ORDERS)
        for (const [verb, act] of Object.entries(VERBS)) {
          using cut = interrupted(EFI.linux, rename, order, state);
          const next = await act(espOn(cut.fat));
          assert.equal((await systemdBoot(espOn(cut.fat)).read()).next, next, `${verb}, ${order}`);
          allWhole(cut.fat, EFI.linux, (name) => /shop_(\d)/.exec(name)?.[1]);
        }
      t.diagnostic(`${ORDERS.length * Object.keys(VERBS).length} images`);
    });

const kernelsOn = (fat: FatImage) => {
  const { files } = filesOn(fat, '/esp');
  return slotKernels({ files, dir: '/esp', product: PRODUCT, log: espOn(fat).log }, async () => 0);
};

async function* whole(version: string): AsyncGenerator<Uint8Array> {
  yield uki(version);
}

for (const rename of FIXED)
  for (const state of ['half', 'checked'] as const)
    test(`${rename.name} under a fixed name, ${state}: the slot gets a whole kernel, and the other keeps its own`, async () => {
      for (const order of ORDERS) {
        using cut = interrupted(EFI.tandem, rename, order, state);
        const kernels = kernelsOn(cut.fat);
        assert.equal(await kernels.versionOf('a'), '2');
        if (!(await kernels.adoptPart('b', incoming('3')))) await kernels.put('b', incoming('3'), whole('3'));
        await kernels.removeParts();
        assert.deepEqual([await kernels.versionOf('a'), await kernels.versionOf('b')], ['2', '3']);
        allWhole(cut.fat, EFI.tandem, (name) => ({ 'a.efi': '2', 'b.efi': '3' })[name]);
      }
    });

test('without the check, every verb refuses and leaves the file system as it is', async () => {
  for (const order of ORDERS) {
    for (const rename of RENAMES) {
      using cut = interrupted(EFI.linux, rename, order, 'shared');
      const before = readFileSync(cut.fat.path);
      const boot = systemdBoot(espOn(cut.fat));
      for (const verb of [boot.confirm, boot.disable, () => boot.arm('b', 2), () => boot.countTry('b')])
        await assert.rejects(verb('b'), { code: 'boot-file-shared' });
      assert.ok(readFileSync(cut.fat.path).equals(before));
    }
    for (const rename of FIXED) {
      using cut = interrupted(EFI.tandem, rename, order, 'shared');
      const before = readFileSync(cut.fat.path);
      await assert.rejects(kernelsOn(cut.fat).put('b', incoming('3'), whole('3')), { code: 'boot-file-shared' });
      assert.ok(readFileSync(cut.fat.path).equals(before));
    }
  }
});

/** What the refusal is for. */
test('without the check, a name that is removed takes the clusters of the other with it', () => {
  using cut = interrupted(EFI.linux, RENAMES[0] ?? assert.fail(), 'the old name first', 'shared');
  const { fat } = cut;
  fat.remove(`${EFI.linux}/shop_3+2-1.efi`);
  assert.notEqual(fat.check('-n').status, 0);
  fat.put(`${EFI.linux}/other.efi`, uki('9'));
  assert.notDeepEqual(Buffer.from(fat.get(`${EFI.linux}/shop_3.efi`) ?? []), Buffer.from(uki('3')));
});
