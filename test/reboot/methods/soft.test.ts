/** A soft reboot is prepared whole or not at all. */

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { dropNextRoot, mountNextRoot, rebootBySoft } from '../../../src/reboot/methods/soft.ts';
import { rootHashOfDevice } from '../../../src/reboot/methods/verity-device.ts';
import { rootHashOfVersion } from '../../support/esp.ts';
import { type FakeMachine, fakeMachine, ROOT_LINE, VAR_LINE } from '../../support/fake-machine.ts';

const HASH = rootHashOfVersion('2');
const DEVICES = { root: '/dev/vda4', verity: '/dev/vda5' };
const NOTHING = { devices: [], mounts: [], nextRoot: false, loaded: '0' };

const world = ({ exec, files, isDir, devices }: FakeMachine) => ({ exec, files, isDir, holders: devices });

/** What the image mounted by the fake would hold. */
async function nextSystem(machine: FakeMachine, systemd = 257): Promise<void> {
  const lib = `run/nextroot/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-${systemd}.so`;
  await machine.put(lib, '');
  await machine.put('run/nextroot/var/tmp/nothing', '');
}

/** Shows what the image holds as long as it is mounted. */
function appearing(machine: FakeMachine, systemd?: number): FakeMachine {
  const exec: FakeMachine['exec'] = async (program, args, options) => {
    const result = await machine.exec(program, args, options);
    if (program === 'mount' && args.includes('-o') && result.exitCode === 0) await nextSystem(machine, systemd);
    if (program === 'umount' && result.exitCode === 0) await vanish(machine);
    return result;
  };
  return { ...machine, exec };
}

async function vanish(machine: FakeMachine): Promise<void> {
  for (const name of ['usr', 'var']) await rm(`${machine.dir}/run/nextroot/${name}`, { recursive: true, force: true });
}

test('the slot is opened by its root hash, mounted read-only, and the disks are carried below it, each for itself', async () => {
  await using machine = await fakeMachine();
  await mountNextRoot(world(appearing(machine)), DEVICES, HASH);
  assert.deepEqual(await machine.calls(), [
    `veritysetup open --restart-on-corruption /dev/vda4 tandem-${HASH} /dev/vda5 ${HASH}`,
    'mkdir -p /run/nextroot',
    `mount --make-private -o ro /dev/mapper/tandem-${HASH} /run/nextroot`,
    'mount --bind --make-private /var /run/nextroot/var',
  ]);
  assert.deepEqual((await machine.left()).devices, [`tandem-${HASH}`]);
  await dropNextRoot(world(appearing(machine)), DEVICES);
  assert.deepEqual(await machine.left(), NOTHING);
});

for (const call of [1, 2, 3, 4])
  test(`nothing is left of the preparation when its step ${call} fails`, async () => {
    await using machine = await fakeMachine();
    await machine.failAt(call);
    await assert.rejects(mountNextRoot(world(appearing(machine)), DEVICES, HASH), {
      code: 'tool-failed',
      message: /was told to fail/,
    });
    assert.deepEqual(await machine.left(), NOTHING);
  });

test('the device that an earlier soft reboot left over the slot is closed first', async () => {
  await using machine = await fakeMachine();
  await machine.put('dm/root', '');
  await mountNextRoot(world(appearing(machine)), DEVICES, HASH);
  assert.equal((await machine.calls())[0], 'veritysetup close root');
  assert.deepEqual((await machine.left()).devices, [`tandem-${HASH}`]);
});

test('what an earlier preparation left is taken down before the next', async () => {
  await using machine = await fakeMachine();
  await mountNextRoot(world(appearing(machine)), DEVICES, HASH);
  await mountNextRoot(world(appearing(machine)), DEVICES, HASH);
  assert.deepEqual((await machine.calls()).slice(4, 7), [
    'umount -R /run/nextroot',
    'rmdir /run/nextroot',
    `veritysetup close tandem-${HASH}`,
  ]);
});

test('a next system whose service manager is too old or unknown is not soft-rebooted into', async () => {
  for (const [systemd, said] of [
    [252, /it has systemd 252/],
    [0, /it has systemd 0/],
  ] as const) {
    await using machine = await fakeMachine();
    await assert.rejects(mountNextRoot(world(appearing(machine, systemd)), DEVICES, HASH), {
      code: 'method-unsafe',
      message: said,
    });
    assert.deepEqual(await machine.left(), NOTHING);
  }
  await using machine = await fakeMachine();
  await assert.rejects(mountNextRoot(world(machine), DEVICES, HASH), { message: /no systemd was found/ });
  assert.deepEqual(await machine.left(), NOTHING);
});

test('a disk below another is carried, since its folder appears with its parent; one without a folder is left', async () => {
  await using machine = await fakeMachine();
  const disk = (point: string): string => `22 21 254:7 / ${point} rw shared:3 - ext4 /dev/vdb rw`;
  const fstab = '/dev/vdc /mnt/later ext4 ro\n';
  await machine.put('proc/self/mountinfo', [ROOT_LINE, VAR_LINE, disk('/var/lib/data'), disk('/mnt/later')].join('\n'));
  await machine.put('etc/fstab', fstab);
  const next = appearing(machine);
  const exec: FakeMachine['exec'] = async (program, args, options) => {
    const result = await next.exec(program, args, options);
    if (program === 'mount' && args.includes('-o')) await machine.put('run/nextroot/etc/fstab', fstab);
    if (program === 'mount' && args.at(-1) === '/run/nextroot/var')
      await machine.put('run/nextroot/var/lib/data/it', '');
    return result;
  };
  await mountNextRoot(world({ ...next, exec }), DEVICES, HASH);
  assert.deepEqual((await machine.calls()).slice(-2), [
    'mount --bind --make-private /var /run/nextroot/var',
    'mount --bind --make-private /var/lib/data /run/nextroot/var/lib/data',
  ]);
});

test('a next system that would be without what the initrd has mounted is not soft-rebooted into', async () => {
  await using machine = await fakeMachine();
  const overlay = '22 20 0:40 / /etc rw shared:3 - overlay overlay rw,lowerdir=/etc';
  await machine.put('proc/self/mountinfo', [ROOT_LINE, VAR_LINE, overlay, ''].join('\n'));
  await assert.rejects(mountNextRoot(world(appearing(machine)), DEVICES, HASH), {
    code: 'method-unsafe',
    message: /nothing in it mounts \/etc\./,
  });
  assert.deepEqual(await machine.left(), NOTHING);
});

test('a slot whose tree has no partition of its own is left to the firmware', async () => {
  await using machine = await fakeMachine();
  await assert.rejects(mountNextRoot(world(machine), { root: '/dev/vda4' }, HASH), { code: 'method-unsafe' });
  assert.deepEqual(await machine.left(), NOTHING);
});

test('the start limit of the soft reboot is reset before it is asked for, and need not exist', async () => {
  await using machine = await fakeMachine();
  await machine.failAt(1);
  await rebootBySoft(machine.exec);
  assert.deepEqual(await machine.calls(), [
    'systemctl reset-failed systemd-soft-reboot.service',
    'systemctl soft-reboot --no-wall',
  ]);
});

test('a device tells the root hash that it was opened with; other names tell nothing', () => {
  assert.equal(rootHashOfDevice(`/dev/mapper/tandem-${HASH}`), HASH);
  for (const path of ['', '/dev/mapper/root', '/dev/mapper/tandem-', `/dev/mapper/tandem-${HASH}0`, `/dev/${HASH}`])
    assert.equal(rootHashOfDevice(path), undefined);
});
