/** Which disks go along with a soft reboot. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { carriedMounts } from '../../../src/reboot/methods/carried-mounts.ts';

const line = (point: string, source: string, root = '/'): string =>
  `30 20 254:6 ${root} ${point} rw,relatime shared:2 master:1 - ext4 ${source} rw`;
const MOUNTS = [
  line('/', '/dev/mapper/root'),
  line('/proc', 'proc'),
  line('/run', 'tmpfs'),
  line('/tmp', 'tmpfs'),
  line('/var', '/dev/vda6'),
  line('/var/lib/data', '/dev/vdb1'),
  line('/efi', '/dev/vda1'),
  line('/srv/with\\040blank', '/dev/vdc'),
  line('/home', 'server:/home'),
  line('/snap/core', '/dev/loop3'),
  line('/opt/part', '/dev/vda6', '/opt'),
].join('\n');

const carried = (given: Partial<Parameters<typeof carriedMounts>[0]> = {}): string[] =>
  carriedMounts({ mountinfo: MOUNTS, runningFstab: '', nextFstab: '', exists: () => true, ...given });

test('whole file systems on disks are carried, parents first; the kernel’s own, memory, network and images are not', () => {
  assert.deepEqual(carried(), ['/efi', '/srv/with blank', '/var', '/var/lib/data']);
});

test('what the next system mounts in another way is left to it, and so is everything below', () => {
  const fstab = 'PARTLABEL=var /var ext4 noatime 0 0\nPARTLABEL=esp  /efi vfat umask=0077 0 0 # same\n';
  assert.deepEqual(carried({ runningFstab: fstab, nextFstab: fstab.replaceAll(/ +/g, '\t') }), carried());
  assert.deepEqual(carried({ runningFstab: fstab, nextFstab: fstab.replace('noatime', 'nodev') }), [
    '/efi',
    '/srv/with blank',
  ]);
  assert.deepEqual(carried({ nextFstab: '# /dev/x /var\n/dev/x /srv/with\\040blank ext4\n' }), [
    '/efi',
    '/var',
    '/var/lib/data',
  ]);
});

test('what has no place in the next root is left', () => {
  assert.deepEqual(carried({ exists: (point) => point !== '/var' && point !== '/efi' }), ['/srv/with blank']);
});

test('nothing is made of an empty table', () => {
  assert.deepEqual(carried({ mountinfo: '' }), []);
});
