/** What the host says about restarting it; where it does not say, nothing is assumed. */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { test } from 'node:test';
import { kexecsOf, readHostFacts, runningKernel } from '../../../src/reboot/methods/host-facts.ts';
import { type Kernel, withoutRootHash } from '../../../src/reboot/methods/kernel.ts';
import { rootMount } from '../../../src/system/disk/mounts.ts';
import { rootHashOfVersion, sha256 } from '../../support/esp.ts';
import { type FakeMachine, fakeMachine } from '../../support/fake-machine.ts';

const HASH = rootHashOfVersion('1');
const CMDLINE = `quiet roothash=${HASH} ro`;
const booted: Kernel = {
  linux: sha256('k'),
  initrd: sha256('i'),
  others: sha256(''),
  commandLine: withoutRootHash(CMDLINE),
  rootHash: HASH,
  release: '6.12',
};

/** A machine on which everything is possible. */
async function willing(): Promise<FakeMachine> {
  const machine = await fakeMachine();
  await machine.put('proc/cmdline', `${CMDLINE}\n`);
  await machine.put('proc/sys/kernel/osrelease', '6.12\n');
  await machine.put('proc/sys/kernel/kexec_load_disabled', '0\n');
  await machine.put('sys/kernel/security/lockdown', '[none] integrity confidentiality\n');
  await machine.put('systemctl-says', '257.7-1\n');
  return machine;
}

const read = (machine: FakeMachine, flags: string[] = []) => readHostFacts(machine, flags, '/efi');

test('a host that says so has nothing against either method', async () => {
  await using machine = await willing();
  const host = await read(machine, ['/run/tandem/firmware-refresh']);
  assert.deepEqual(host, { commandLine: CMDLINE, release: '6.12', kexecs: 0, barred: {} });
  assert.equal(runningKernel(booted, host), booted);
});

test('kexec is barred by the kernel, by lockdown, and by files that only the boot loader passes on', async () => {
  for (const [path, text, said] of [
    ['proc/sys/kernel/kexec_load_disabled', '1\n', /kexec_load_disabled/],
    ['sys/kernel/security/lockdown', 'none [integrity] confidentiality\n', /locked down/],
    ['efi/loader/credentials/secret.cred', 'x', /loader\/credentials/],
    ['efi/loader/addons/more.addon.efi', 'x', /loader\/addons/],
    ['efi/EFI/Linux/shop_1.efi.extra.d/x.cred', 'x', /extra\.d/],
  ] as const) {
    await using machine = await willing();
    await machine.put(path, text);
    assert.match((await read(machine)).barred.kexec ?? '', said);
  }
  await using machine = await willing();
  await machine.files.remove(`${machine.dir}/sys/kernel/kexec_loaded`);
  assert.match((await read(machine)).barred.kexec ?? '', /does not support kexec/);
});

const variable = (name: string): string => `sys/firmware/efi/efivars/${name}-8be4df61-93ca-11d2-aa0d-00e098032b8c`;

test('both are barred while Secure Boot is on or cannot be asked, since only the firmware checks a signature', async () => {
  await using machine = await willing();
  const bars = async (): Promise<unknown> => {
    const { soft, kexec } = (await read(machine)).barred;
    assert.equal(soft, kexec);
    return soft;
  };
  assert.equal(await bars(), undefined, 'no EFI at all');
  await machine.put('sys/firmware/efi/fw_platform_size', '64\n');
  assert.match(String(await bars()), /cannot be determined/, 'variables that are not mounted');
  await machine.put(variable('BootOrder'), '\x07\0\0\0\0\0');
  assert.equal(await bars(), undefined, 'firmware that knows no Secure Boot');
  for (const [value, said] of [
    ['\x01', /Secure Boot is on/],
    ['', /cannot be determined/],
  ] as const) {
    await machine.put(variable('SecureBoot'), `\x06\0\0\0${value}`);
    assert.match(String(await bars()), said);
  }
  await machine.put(variable('SecureBoot'), '\x06\0\0\0\0');
  assert.equal(await bars(), undefined);
  await machine.files.remove(`${machine.dir}/${variable('SecureBoot')}`);
  await mkdir(`${machine.dir}/${variable('SecureBoot')}`);
  assert.match(String(await bars()), /cannot be determined/, 'one that cannot be read');
});

test('what waits for the firmware goes through it: its update, its setup, an entry that somebody wants next', async () => {
  await using machine = await willing();
  const flag = async (isBootNextOurs = false) =>
    (await readHostFacts(machine, [], '/efi', isBootNextOurs)).firmwareFlag;
  await machine.put(variable('OsIndications'), `\x07\0\0\0${'\0'.repeat(8)}`);
  assert.equal(await flag(), undefined);
  await machine.put(variable('OsIndications'), `\x07\0\0\0\x04${'\0'.repeat(7)}`);
  assert.match((await flag()) ?? '', /OsIndications/);
  await machine.files.remove(`${machine.dir}/${variable('OsIndications')}`);
  await machine.put(variable('BootNext'), '\x07\0\0\0\x02\0');
  assert.match((await flag()) ?? '', /BootNext/);
  assert.equal(await flag(true), undefined, 'ours');
});

test('soft is barred by a service manager that is too old or says nothing', async () => {
  await using machine = await willing();
  for (const said of ['252.38-1~deb12u1\n', '\n', 'unknown\n']) {
    await machine.put('systemctl-says', said);
    assert.match((await read(machine)).barred.soft ?? '', /older than 254/);
  }
});

test('a flag for the firmware counts whatever it is', async () => {
  await using machine = await willing();
  await machine.put('run/two/file', '');
  const flags = ['/run/one', '/run/two'];
  assert.equal((await read(machine, flags)).firmwareFlag, '/run/two', 'a folder');
  await machine.put('run/one', '');
  assert.equal((await read(machine, flags)).firmwareFlag, '/run/one', 'an empty file');
});

test('after a soft reboot of ours the running kernel is still that of the boot image of the slot it led to', async () => {
  await using machine = await willing();
  const next = { ...booted, rootHash: rootHashOfVersion('2') };
  assert.deepEqual(runningKernel(next, await read(machine)), {
    unknown: 'the running kernel was not started from the boot image of this slot',
  });
  await machine.put(
    'proc/self/mountinfo',
    `20 1 254:7 / / ro - erofs /dev/mapper/tandem-${next.rootHash} ro\n21 20 254:6 / /var rw - ext4 /dev/vda6 rw\n`,
  );
  assert.equal(runningKernel(next, await read(machine)), next);
});

test('a kernel that was started with other words, or is of another release, is not that of the boot image', async () => {
  await using machine = await willing();
  const host = await read(machine);
  for (const other of [
    { ...host, commandLine: `${CMDLINE} debug` },
    { ...host, commandLine: `${CMDLINE} roothash=${HASH}` },
    { ...host, commandLine: '' },
    { ...host, release: '6.13' },
  ])
    assert.ok('unknown' in runningKernel(booted, other));
});

test('starts by kexec are counted by the running kernel’s own command line; nonsense counts as too many', () => {
  assert.equal(kexecsOf(CMDLINE), 0);
  assert.equal(kexecsOf(`${CMDLINE} tandem.kexecs=4`), 4);
  for (const nonsense of ['x', '-1', '1.5']) assert.ok(kexecsOf(`tandem.kexecs=${nonsense}`) > 1000);
});

test('the topmost of what is mounted at / counts', () => {
  const mountinfo = '1 0 0:1 / / rw - tmpfs none rw\n2 1 254:0 / / ro shared:1 - erofs /dev/x ro';
  assert.deepEqual(rootMount(mountinfo), { rdev: '254:0', source: '/dev/x' });
  assert.equal(rootMount(''), undefined);
});
