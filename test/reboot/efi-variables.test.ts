/** EFI boot variables in the format of efivarfs, read and changed by efibootmgr as well. */

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { UpdateError } from '../../src/errors.ts';
import type { Version } from '../../src/model.ts';
import { formatBootOption, isSameFile, parseBootOption } from '../../src/reboot/bootloaders/boot-option.ts';
import type { BootBackend } from '../../src/reboot/bootloaders/bootloader.ts';
import { efiVariablesBackend } from '../../src/reboot/bootloaders/efi-variables.ts';
import { type EfiVariables, efiVariableFiles, variableFile } from '../../src/system/efi-variable-files.ts';
import { realFiles } from '../../src/system/files.ts';
import {
  type EfiFolder,
  efiBench,
  efibootmgr,
  efiFolder,
  espPlace,
  optionFiles,
  startFirmware,
} from '../support/efi-variables.ts';
import { conformance } from './backend-conformance.ts';

conformance('EFI variables', efiBench, 1);

const versionOf = async (): Promise<Version> => '2' as Version;
const backendOf = ({ variables }: EfiFolder): BootBackend => efiVariablesBackend(variables, versionOf, espPlace);
const isThere = (): boolean => true;

const VERBS: Readonly<Record<string, (backend: BootBackend, folder: EfiFolder) => Promise<void>>> = {
  disable: (backend) => backend.disable('b'),
  arm: (backend) => backend.arm('b', 1),
  'count the try of': (backend) => backend.countTry('b'),
  confirm: (backend) => backend.confirm('b'),
  'go back from': (backend) => backend.confirm('a'),
  'prove past us': (_, { variables }) => variables.write('BootOrder', Buffer.from([4, 0, 3, 0])),
  'arm the old one after': (backend) => backend.arm('a', 1),
};

type Cut = Readonly<{ before: readonly string[]; verb: string; starts: readonly string[] }>;

/** Which slots the next two starts take when the power fails before the first change, after it, and so on to the last. */
const CUTS: readonly Cut[] = [
  { before: ['arm'], verb: 'disable', starts: ['b a', 'a a'] },
  { before: ['arm', 'confirm'], verb: 'disable', starts: ['b b', 'a a'] },
  { before: ['arm', 'prove past us'], verb: 'disable', starts: ['b b', 'b b', 'a a'] },
  { before: ['disable'], verb: 'arm', starts: ['a a', 'a a', 'b a'] },
  { before: ['arm', 'confirm', 'go back from'], verb: 'arm', starts: ['a a', 'a a', 'b a'] },
  { before: ['arm', 'confirm'], verb: 'arm the old one after', starts: ['b b', 'b b', 'a b'] },
  { before: ['arm'], verb: 'count the try of', starts: ['b a', 'a a'] },
  { before: ['arm', 'count the try of'], verb: 'confirm', starts: ['a a', 'b b'] },
  { before: ['arm'], verb: 'confirm', starts: ['b a', 'b b', 'b b'] },
  { before: ['arm'], verb: 'go back from', starts: ['b a', 'a a'] },
  { before: ['arm', 'confirm'], verb: 'go back from', starts: ['b b', 'a a'] },
];

for (const { before, verb, starts } of CUTS)
  test(`after “${before.join('”, “')}” the power fails in “${verb}”: after each change the first start is known, and the second is proven`, async (t) => {
    const found: string[] = [];
    for (let changes = 0, done = false; !done; changes++) {
      await using folder = await efiFolder();
      for (const earlier of before) await VERBS[earlier]?.(backendOf(folder), folder);
      done = await cutAfter(changes, folder.variables, (cut) =>
        VERBS[verb]?.(efiVariablesBackend(cut, versionOf, espPlace), folder),
      );
      const first = await startFirmware(folder, isThere);
      const second = await startFirmware(folder, isThere);
      found.push(`${first} ${second}`);
      const { slots } = await backendOf(folder).read();
      assert.ok(second && slots[second].confirmed, `${second} after ${changes} changes`);
      await VERBS[verb]?.(backendOf(folder), folder).catch((error: { code: string }) => {
        // A try that was taken already is not there to be counted.
        if (verb !== 'count the try of' || error.code !== 'boot-not-armed') throw error;
      });
    }
    assert.deepEqual(found, starts);
    t.diagnostic(`${found.length} cuts`);
  });

/** Lets so many changes happen, what is so already being none; true when no more were wanted. */
async function cutAfter(
  most: number,
  variables: EfiVariables,
  deed: (cut: EfiVariables) => Promise<void> | undefined,
): Promise<boolean> {
  let left = most;
  const counted = async (change: () => Promise<void>): Promise<void> => {
    if (left-- === 0) throw new Error('the power fails');
    await change();
  };
  const cut: EfiVariables = {
    ...variables,
    write: async (name, value) => {
      const bytes = await variables.read(name);
      if (!bytes || Buffer.compare(bytes, value) !== 0) await counted(() => variables.write(name, value));
    },
    remove: async (name) => {
      if (await variables.read(name)) await counted(() => variables.remove(name));
    },
  };
  try {
    await deed(cut);
    return true;
  } catch (error) {
    if ((error as Error).message !== 'the power fails') throw error;
    return false;
  }
}

test('efibootmgr reads the option that we make: same partition, same kind, the other file', async () => {
  await using folder = await efiFolder();
  await backendOf(folder).arm('b', 1);
  const files = await optionFiles(folder);
  assert.deepEqual([...files.values()], ['\\EFI\\tandem\\a.efi', '\\EFI\\tandem\\b.efi']);
  const [one, other] = (await efibootmgr(folder, '-v')).split('\n').filter((line) => line.includes('Tandem'));
  const partition = /HD\([^)]*\)/;
  assert.ok(one && other);
  assert.equal(partition.exec(one)?.[0], partition.exec(other)?.[0]);
});

test('what others have in the order stays there, behind ours', async () => {
  await using folder = await efiFolder();
  const backend = backendOf(folder);
  await backend.arm('b', 1);
  assert.match(await efibootmgr(folder), /^BootOrder: 0003,0001,0000,0002$/m);
  assert.match(await efibootmgr(folder), /^BootNext: 0004$/m);
  await backend.confirm('b');
  assert.match(await efibootmgr(folder), /^BootOrder: 0004,0003,0001,0000,0002$/m);
  assert.doesNotMatch(await efibootmgr(folder), /BootNext/);
});

test('an option that firmware has thrown away is made again', async () => {
  await using folder = await efiFolder();
  const backend = backendOf(folder);
  await backend.arm('b', 1);
  await efibootmgr(folder, '-q', '-B', '-b', '0004');
  await backend.arm('b', 1);
  assert.equal(await startFirmware(folder, isThere), 'b');
});

test('an option that was switched off starts nothing until it is armed', async () => {
  await using folder = await efiFolder();
  const backend = backendOf(folder);
  await backend.arm('b', 1);
  await backend.confirm('b');
  await efibootmgr(folder, '-q', '-A', '-b', '0004');
  assert.equal((await backend.read()).slots.b.bootable, false);
  await backend.arm('b', 1);
  assert.equal(await startFirmware(folder, isThere), 'b');
});

test('slots of another disk are left alone', async () => {
  await using folder = await efiFolder();
  const option = parseBootOption((await folder.variables.read('Boot0003')) ?? new Uint8Array());
  assert.ok(option);
  const foreign = Uint8Array.from(option.device, (byte, index) => (index === 30 ? byte ^ 0xff : byte));
  await folder.variables.write('Boot0007', formatBootOption('Tandem b', foreign, '\\EFI\\tandem\\b.efi'));
  await efibootmgr(folder, '-q', '-o', '0003,0007,0001,0002');
  const backend = backendOf(folder);
  assert.equal((await backend.read()).slots.b.bootable, false);
  await backend.disable('b');
  assert.match(await efibootmgr(folder), /^BootOrder: 0003,0007,0001,0002$/m);
});

test('options that firmware has lost are made again from what the partition table says of the ESP, byte for byte', async () => {
  await using folder = await efiFolder();
  const before = await folder.variables.read('Boot0003');
  await efibootmgr(folder, '-q', '-B', '-b', '0003');
  const backend = backendOf(folder);
  assert.equal((await backend.read()).isLost, true);
  await assert.rejects(backend.arm('b', 1), { code: 'boot-no-fallback' });
  await backend.confirm('a');
  assert.deepEqual(await folder.variables.read('Boot0003'), before);
  assert.match(await efibootmgr(folder), /^BootOrder: 0003,0001,0000,0002/m);
  assert.equal((await backend.read()).isLost, undefined);
});

test('an order that firmware has reset is lost, and the options that are there still serve', async () => {
  await using folder = await efiFolder();
  await folder.variables.write('BootOrder', Buffer.from([1, 0, 0, 0]));
  const backend = backendOf(folder);
  assert.equal((await backend.read()).isLost, true);
  await backend.confirm('a');
  assert.match(await efibootmgr(folder), /^BootOrder: 0003,0001,0000$/m);
});

test('a slot on trial is not lost, though the firmware has used its only try up', async () => {
  await using folder = await efiFolder();
  const backend = backendOf(folder);
  await backend.arm('b', 1);
  assert.equal(await startFirmware(folder, isThere), 'b');
  assert.equal((await backend.read()).isLost, undefined);
});

test('where the partition of the kernels cannot be found no option is made up, and that is what is said', async () => {
  await using folder = await efiFolder();
  await efibootmgr(folder, '-q', '-B', '-b', '0003');
  const nowhere = async () => Promise.reject(new UpdateError('boot-partition-missing'));
  const backend = efiVariablesBackend(folder.variables, versionOf, nowhere);
  await assert.rejects(backend.confirm('a'), { code: 'boot-partition-missing' });
});

test('firmware that shows no variable at all has not lost them: efivarfs is not mounted', async () => {
  const variables = efiVariableFiles(realFiles, '/nowhere');
  const backend = efiVariablesBackend(variables, versionOf, espPlace);
  await assert.rejects(backend.read(), { code: 'boot-environment', message: /is efivarfs mounted/ });
});

test('firmware that does not keep what it was told is found out', async () => {
  await using folder = await efiFolder();
  const forgetful = { ...folder.variables, write: async () => {} };
  await assert.rejects(efiVariablesBackend(forgetful, versionOf, espPlace).arm('b', 1), {
    code: 'boot-confirm-failed',
  });
});

test('a list that is no list is an error, and stays as it is', async () => {
  await using folder = await efiFolder();
  await folder.variables.write('BootOrder', Buffer.from([3, 0, 1]));
  await assert.rejects(backendOf(folder).confirm('a'), { code: 'boot-environment' });
  assert.deepEqual([...((await folder.variables.read('BootOrder')) ?? [])], [3, 0, 1]);
});

test('a file that is too short for a variable, or too long, is an error', async () => {
  await using folder = await efiFolder();
  const file = join(folder.dir, variableFile('BootOrder'));
  for (const bytes of [Buffer.alloc(3), Buffer.alloc(70_000)]) {
    await writeFile(file, bytes);
    await assert.rejects(backendOf(folder).read(), { code: 'boot-environment' });
  }
});

test('a variable that somebody has protected is named, and nothing takes the protection away', async () => {
  await using folder = await efiFolder();
  const forbidden = async (path: string) => Promise.reject(Object.assign(new Error(path), { code: 'EPERM' }));
  const files = { ...realFiles, write: forbidden, remove: forbidden };
  const backend = efiVariablesBackend(efiVariableFiles(files, folder.dir), versionOf, espPlace);
  await assert.rejects(backend.arm('b', 1), { code: 'boot-environment', message: /Boot0004-.*chattr -i/ });
});

test('firmware that refuses a change is named, and so is firmware without room', async () => {
  await using folder = await efiFolder();
  for (const [errno, code] of Object.entries({
    ENOSPC: 'firmware-full',
    EROFS: 'boot-environment',
    EIO: 'boot-environment',
  })) {
    const write = async (path: string) => Promise.reject(Object.assign(new Error(path), { code: errno }));
    const backend = efiVariablesBackend(efiVariableFiles({ ...realFiles, write }, folder.dir), versionOf, espPlace);
    await assert.rejects(backend.arm('b', 1), { code, message: /Boot0004-/ });
    assert.equal((await backendOf(folder).read()).next, 'a');
  }
});

test('a file without a byte, as a write that failed leaves it, is no variable', async () => {
  await using folder = await efiFolder();
  for (const name of ['BootNext', 'Boot0009']) await writeFile(join(folder.dir, variableFile(name)), '');
  const backend = backendOf(folder);
  assert.equal((await backend.read()).next, 'a');
  await backend.disable('b');
  await backend.arm('b', 1);
  assert.equal((await backend.read()).next, 'b');
  await backend.confirm('a');
  assert.equal((await backend.read()).next, 'a');
});

test('an option of somebody else that cannot be read is passed over, and its number not taken', async () => {
  await using folder = await efiFolder();
  await writeFile(join(folder.dir, variableFile('Boot0004')), Buffer.alloc(3));
  await mkdir(join(folder.dir, variableFile('Boot0005')));
  const backend = backendOf(folder);
  assert.equal((await backend.read()).next, 'a');
  await backend.arm('b', 1);
  assert.deepEqual([...((await folder.variables.read('BootNext')) ?? [])], [6, 0]);
});

test('an option is read as it was written', () => {
  const device = fc.constant(new Uint8Array([2, 1, 12, 0, 0xd0, 0x41, 3, 10, 0, 0, 0, 0]));
  const word = fc.string({ minLength: 1 }).filter((text) => !/[\0\\]/.test(text) && text.isWellFormed());
  fc.assert(
    fc.property(word, device, word, (description, nodes, file) => {
      const option = parseBootOption(formatBootOption(description, nodes, `\\${file}`));
      assert.deepEqual([option?.active, option?.description, option?.file], [true, description, `\\${file}`]);
      assert.deepEqual([...(option?.device ?? [])], [...nodes]);
    }),
  );
});

test('what is no option is none, whatever the bytes', async () => {
  await using folder = await efiFolder();
  const good = (await folder.variables.read('Boot0003')) ?? new Uint8Array();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void parseBootOption(bytes)));
  const damage = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (damages) => {
      const bytes = Uint8Array.from(good);
      for (const [at, byte] of damages) bytes[at] = byte;
      parseBootOption(bytes);
    }),
    { numRuns: 2000 },
  );
  for (let length = 0; length < good.length; length++)
    assert.equal(parseBootOption(good.subarray(0, length)), undefined, `${length} bytes`);
});

test('the same file is found whatever its case and slashes', () => {
  assert.ok(isSameFile('\\EFI\\TANDEM\\A.EFI', 'EFI/tandem/a.efi'));
  assert.ok(!isSameFile('\\EFI\\tandem\\b.efi', 'EFI/tandem/a.efi'));
  assert.ok(!isSameFile('\\old\\EFI\\tandem\\a.efi', 'EFI/tandem/a.efi'));
});
