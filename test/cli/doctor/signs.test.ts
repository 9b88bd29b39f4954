/** What a machine shows of its boot loader, and what is said when the configuration names another one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backendFits } from '../../../src/cli/doctor/boot-facts.ts';
import { type BootSigns, fittingBackends, tooManyTries } from '../../../src/cli/doctor/signs.ts';
import { resolveConfig } from '../../../src/config/config.ts';

const NOTHING: BootSigns = {
  uefi: false,
  grubFlags: false,
  ubootCopies: 0,
  firmwareStartsSlots: false,
  autoboot: false,
  priorities: false,
};
const FITS: readonly (readonly [facts: Partial<BootSigns>, fits: readonly string[]])[] = [
  [{}, []],
  [{ uefi: true }, []],
  [{ uefi: true, loaderInfo: 'systemd-boot 257' }, ['systemd-boot']],
  [{ uefi: true, loaderInfo: 'systemd-boot 257', priorities: true, ubootCopies: 1 }, ['systemd-boot']],
  [{ uefi: true, loaderInfo: 'GRUB 2.12', priorities: true }, ['grub', 'gpt']],
  [{ priorities: true }, ['gpt']],
  [{ ubootCopies: 1 }, ['uboot']],
  [{ uefi: true, firmwareStartsSlots: true }, ['efi-variables']],
  [{ model: 'Raspberry Pi 5 Model B Rev 1.0', autoboot: true }, ['tryboot']],
  [{ model: 'Raspberry Pi 5 Model B Rev 1.0' }, []],
  [{ model: 'Raspberry Pi 4 Model B', ubootCopies: 1 }, ['uboot']],
  [{ model: 'Some other board', autoboot: true }, []],
];
for (const [facts, fits] of FITS)
  test(`${JSON.stringify(facts)} is a sign of ${fits.join(' and ') || 'nothing'}`, () => {
    const found = fittingBackends({ ...NOTHING, ...facts }).map(({ backend }) => backend);
    assert.deepEqual(found, fits);
  });

const ask = (backend: string, files: Readonly<Record<string, Uint8Array>>, priorities = false) =>
  backendFits(
    {
      readHead: async (path, most) => files[path]?.subarray(0, most),
      list: async (dir) =>
        Object.keys(files).flatMap((path) => (path.startsWith(`${dir}/`) ? [path.slice(dir.length + 1)] : [])),
    },
    resolveConfig([{ path: 'test', text: `boot.backend = "${backend}"\n` }]),
    async () => priorities,
  );

test('what the configuration names and the machine shows is right', async () => {
  const pi = {
    '/proc/device-tree/model': Buffer.from('Raspberry Pi 5 Model B\0'),
    '/boot/autoboot/autoboot.txt': Buffer.alloc(0),
  };
  const found = await ask('tryboot', pi);
  assert.deepEqual([found.result, found.sentence.includes('this is a Raspberry Pi 5 Model B, and')], ['ok', true]);
  assert.equal((await ask('gpt', {}, true)).result, 'ok');
  assert.equal(
    (await ask('uboot', { '/etc/fw_env.config': Buffer.from('/dev/mmcblk0 0x100000 0x4000\n') })).result,
    'ok',
  );
});

test('what the machine shows and the configuration does not name is told with the key to set', async () => {
  const { result, sentence, next } = await ask('grub', {}, true);
  assert.deepEqual([result, next?.includes('boot.backend = "gpt"')], ['warn', true]);
  assert.match(sentence, /^grub is configured, but gpt seems to fit/);
});

test('a program of the user’s is not second-guessed', async () => {
  assert.equal((await ask('program', {}, true)).result, 'ok');
});

test('more tries than the boot loader counts are told, with the number that it can', () => {
  assert.equal(tooManyTries(3, { name: 'gpt', mostTries: 15 }), undefined);
  assert.equal(tooManyTries(1, { name: 'tryboot', mostTries: 1 }), undefined);
  const found = tooManyTries(3, { name: 'tryboot', mostTries: 1 });
  assert.deepEqual([found?.result, found?.next?.includes('boot.tries = 1')], ['warn', true]);
});
