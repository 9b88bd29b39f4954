/** Which disks go along with a soft reboot. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { carriedMounts, lostMounts, type MountFacts, mountPoints } from '../../../src/reboot/methods/carried-mounts.ts';

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

const defined = (said: Record<string, string>): ReadonlyMap<string, string> => new Map(Object.entries(said));
const facts = (given: Partial<MountFacts> = {}): MountFacts => ({
  mountinfo: MOUNTS,
  running: new Map(),
  next: new Map(),
  ...given,
});

test('whole file systems on disks are carried, parents first; the kernel’s own, memory, network and images are not', () => {
  assert.deepEqual(carriedMounts(facts()), ['/efi', '/srv/with blank', '/var', '/var/lib/data']);
});

test('what the next system mounts in another way is left to it, and so is everything below', () => {
  const running = defined({ '/var': 'ext4 noatime', '/efi': 'vfat' });
  assert.deepEqual(carriedMounts(facts({ running, next: running })), carriedMounts(facts()));
  const next = defined({ '/var': 'ext4 nodev', '/efi': 'vfat' });
  assert.deepEqual(carriedMounts(facts({ running, next })), ['/efi', '/srv/with blank']);
  const added = defined({ '/srv/with blank': 'ext4' });
  assert.deepEqual(carriedMounts(facts({ next: added })), ['/efi', '/var', '/var/lib/data']);
});

test('nothing is made of an empty table', () => {
  assert.deepEqual(carriedMounts(facts({ mountinfo: '' })), []);
  assert.deepEqual(mountPoints(''), []);
});

const lost = (lines: readonly string[], next: Record<string, string> = {}): string[] => {
  const given = facts({ mountinfo: lines.join('\n'), next: defined(next) });
  return lostMounts(given, carriedMounts({ ...given, running: given.next }));
};
const of = (point: string, type: string, source: string, root = '/'): string =>
  `30 20 0:30 ${root} ${point} rw shared:2 - ${type} ${source} rw`;

test('what the initrd has mounted on the root is lost unless the next system says how it is mounted', () => {
  const initrd = [
    of('/etc', 'overlay', 'overlay'),
    of('/home', 'ext4', '/dev/vda6', '/home'),
    of('/srv', 'btrfs', '/dev/vdb', '/@srv'),
  ];
  assert.deepEqual(lost(initrd), ['/etc', '/home', '/srv']);
  assert.deepEqual(lost(initrd, { '/etc': 'overlay', '/home': 'bind', '/srv': 'btrfs' }), []);
});

test('what containers and programs have mounted on a disk is their affair, but a disk that is left behind is not', () => {
  const docker = of('/var/lib/docker/overlay2/c0ffee/merged', 'overlay', 'overlay');
  const volume = of('/var/lib/kubelet/pods/1/volume', 'ext4', '/dev/vda6', '/volume');
  assert.deepEqual(lost([line('/var', '/dev/vda6'), docker, volume]), []);
  const disk = line('/data/more', '/dev/vdc');
  assert.deepEqual(lost([of('/data', 'nfs4', 'server:/data'), disk], { '/data': 'nfs4' }), ['/data/more']);
});

test('what every service manager makes anew is not lost', () => {
  const anew = [
    of('/etc/machine-id', 'tmpfs', 'tmpfs', '/machine-id'),
    of('/boot', 'autofs', 'systemd-1'),
    of('/usr', 'overlay', 'sysext'),
  ];
  assert.deepEqual(lost(anew), []);
});
