/** Every kind of disk that a slot may lie on, or may not: what the kernel calls it, what is found, and what the agent's unit lets it open. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { labelsElsewhere, readDiskFacts } from '../../src/partitions/disk-facts.ts';
import { kernelDevice, kernelPartitions, rootDevices } from '../../src/system/disk/mounts.ts';
import { device, link, mountinfo } from '../support/kernel-files.ts';

const TOP = join(import.meta.dirname, '..', '..');
const UNIT = readFileSync(join(TOP, 'systemd/tandem-agent.service'), 'utf8');
const PAGE = readFileSync(join(TOP, 'docs/disks.md'), 'utf8');
const LABELS = ['esp', 'root-a', 'root-a-verity', 'root-b', 'root-b-verity'];

/** A disk with the partitions of both slots. `drivers` are what /proc/devices calls its numbers. */
type Disk = Readonly<{
  name: string;
  rdev: string;
  numbers: readonly string[];
  drivers: readonly string[];
  infix?: string;
}>;

const DISKS: Readonly<Record<string, Disk>> = {
  'SATA, SAS, SCSI, USB, iSCSI': { name: 'sda', rdev: '8:0', numbers: numbers(8, 1), drivers: ['sd'] },
  'the 17th SCSI disk': { name: 'sdq', rdev: '65:0', numbers: numbers(65, 1), drivers: ['sd'] },
  NVMe: { name: 'nvme0n1', rdev: '259:0', numbers: numbers(259, 1), drivers: ['blkext'], infix: 'p' },
  'eMMC and SD cards': { name: 'mmcblk0', rdev: '179:0', numbers: numbers(179, 1), drivers: ['mmc'], infix: 'p' },
  'eMMC, from the eighth partition on': {
    name: 'mmcblk1',
    rdev: '179:32',
    numbers: numbers(259, 7),
    drivers: ['mmc', 'blkext'],
    infix: 'p',
  },
  virtio: { name: 'vda', rdev: '254:0', numbers: numbers(254, 1), drivers: ['virtblk'] },
  Xen: { name: 'xvda', rdev: '202:0', numbers: numbers(202, 1), drivers: ['xvd'] },
  'Xen, from the 17th disk on': { name: 'xvdq', rdev: '202:4096', numbers: numbers(202, 4097), drivers: ['xvd'] },
  'persistent memory': { name: 'pmem0', rdev: '259:20', numbers: numbers(259, 21), drivers: ['blkext'], infix: 'p' },
  'a controller with its own folder (cciss)': {
    name: 'cciss!c0d0',
    rdev: '104:0',
    numbers: numbers(259, 40),
    drivers: ['blkext'],
    infix: 'p',
  },
  'a partitioned RAID array (md)': {
    name: 'md127',
    rdev: '9:127',
    numbers: numbers(259, 60),
    drivers: ['md', 'blkext'],
    infix: 'p',
  },
  'a partitioned RAID array (mdp)': {
    name: 'md_d0',
    rdev: '250:0',
    numbers: numbers(250, 1),
    drivers: ['mdp'],
    infix: 'p',
  },
  'a loop device with partitions': {
    name: 'loop0',
    rdev: '7:0',
    numbers: numbers(259, 80),
    drivers: ['loop', 'blkext'],
    infix: 'p',
  },
};

function numbers(major: number, first: number): readonly string[] {
  return LABELS.map((_, index) => `${major}:${first + index}`);
}

/** What the unit must be told of by a drop-in, found all the same. */
const UNLISTED: Readonly<Record<string, Disk>> = {
  'network block devices (nbd)': { name: 'nbd0', rdev: '43:0', numbers: numbers(43, 1), drivers: ['nbd'], infix: 'p' },
};

const inKernel = async (deed: (root: string) => Promise<void>): Promise<void> => {
  const root = mkdtempSync(join(tmpdir(), 'tandem-kernel-'));
  await deed(root).finally(() => rmSync(root, { recursive: true }));
};

const nameOf = ({ name, infix = '' }: Disk, number: number): string => `${name}${infix}${number}`;

function addDisk(root: string, disk: Disk): void {
  device(root, disk.name, disk.rdev, { size: 10_000, uevent: `DEVNAME=${disk.name.replaceAll('!', '/')}` });
  for (const [index, label] of LABELS.entries()) {
    const name = nameOf(disk, index + 1);
    const uevent = `DEVNAME=${name.replaceAll('!', '/')}\nPARTNAME=${label}\nPARTUUID=0000-${index}`;
    const place = { partition: index + 1, start: 1000 * index, size: 1000, uevent };
    device(root, `${disk.name}/${name}`, disk.numbers[index] ?? '', place);
  }
}

/** A device-mapper device, or an array, over others. */
function addLayer(root: string, name: string, rdev: string, below: readonly string[], uuid?: string): void {
  device(root, name, rdev, { size: 1000, uevent: `DEVNAME=${name}` });
  for (const one of below) link(root, `sys/devices/${name}/slaves/${one.split('/').at(-1)}`, `sys/devices/${one}`);
  const kind = name.startsWith('md') ? 'md' : 'dm';
  mkdirSync(join(root, `sys/devices/${name}/${kind}`), { recursive: true });
  writeFileSync(join(root, `sys/devices/${name}/${kind}/${kind === 'md' ? 'level' : 'uuid'}`), `${uuid ?? ''}\n`);
}

const mountRoot = (root: string, rdev: string): void =>
  mountinfo(root, [`22 1 ${rdev} / / ro,relatime shared:1 - erofs /dev/root ro`]);

for (const [kind, disk] of [...Object.entries(DISKS), ...Object.entries(UNLISTED)])
  for (const uuid of ['CRYPT-VERITY-0123456789abcdef-root', ''])
    test(`slots are found on: ${kind}, through dm-verity as ${uuid ? 'systemd' : 'the kernel'} opens it`, () =>
      inKernel(async (root) => {
        addDisk(root, disk);
        addLayer(
          root,
          'dm-0',
          '253:0',
          [2, 3].map((number) => `${disk.name}/${nameOf(disk, number)}`),
          uuid,
        );
        mountRoot(root, '253:0');
        const under = await rootDevices(root);
        const plain = disk.name.replaceAll('!', '/');
        assert.deepEqual(
          under.map((one) => [one.disk, one.number, one.path]),
          [2, 3].map((number) => [disk.rdev, number, `/dev/${nameOf({ ...disk, name: plain }, number)}`]),
        );
        assert.equal((await kernelDevice(root, disk.rdev))?.path, `/dev/${plain}`);
        assert.deepEqual((await kernelPartitions(root)).map(({ label }) => label).sort(), LABELS.toSorted());
        assert.deepEqual(await labelsElsewhere(root, disk.rdev), []);
        // The disk itself may be there or not on the machine that runs this; the kernel's view of it is enough.
        const failure = await readDiskFacts(undefined, root).then(() => '', String);
        assert.doesNotMatch(failure, /running root/);
      }));

for (const [kind, { drivers }] of Object.entries(DISKS))
  test(`the agent's unit lets it open: ${kind}`, () => {
    for (const driver of drivers) assert.match(UNIT, new RegExp(`^DeviceAllow=block-${driver} rw$`, 'm'));
  });

type Refused = Readonly<{ why: RegExp; build(root: string): void }>;

const sda = DISKS['SATA, SAS, SCSI, USB, iSCSI'] ?? assert.fail();
const sdb: Disk = { ...sda, name: 'sdb', rdev: '8:16', numbers: numbers(8, 17) };

const REFUSED: Readonly<Record<string, Refused>> = {
  'a root in LVM': {
    why: /is in a volume of LVM, \/dev\/dm-1;/,
    build: (root) => {
      addDisk(root, sda);
      addLayer(root, 'dm-1', '253:1', ['sda/sda2'], 'LVM-abcdef');
      mountRoot(root, '253:1');
    },
  },
  'an encrypted root (LUKS)': {
    why: /is in an encrypted device, \/dev\/dm-1;/,
    build: (root) => {
      addDisk(root, sda);
      addLayer(root, 'dm-1', '253:1', ['sda/sda2'], 'CRYPT-LUKS2-0123-luks');
      addLayer(root, 'dm-2', '253:2', ['dm-1', 'sda/sda3'], 'CRYPT-VERITY-0123-root');
      mountRoot(root, '253:2');
    },
  },
  'a RAID array in each slot': {
    why: /is in a RAID array, \/dev\/md0;/,
    build: (root) => {
      addDisk(root, sda);
      addDisk(root, sdb);
      addLayer(root, 'md0', '9:0', ['sda/sda2', 'sdb/sdb2'], 'raid1');
      mountRoot(root, '9:0');
    },
  },
  'a RAID array in each slot, of which one member is left': {
    why: /is in a RAID array, \/dev\/md0;/,
    build: (root) => {
      addDisk(root, sda);
      addLayer(root, 'md0', '9:0', ['sda/sda2'], 'raid1');
      mountRoot(root, '9:0');
    },
  },
  'multipath, whose partitions are device-mapper devices': {
    why: /is in a multipath device, \/dev\/dm-1;/,
    build: (root) => {
      addDisk(root, sda);
      addDisk(root, sdb);
      addLayer(root, 'dm-0', '253:0', ['sda', 'sdb'], 'mpath-3600');
      addLayer(root, 'dm-1', '253:1', ['dm-0'], 'part2-mpath-3600');
      mountRoot(root, '253:1');
    },
  },
  'RAID of the firmware by dmraid': {
    why: /is in a RAID array, \/dev\/dm-0;/,
    build: (root) => {
      addDisk(root, sda);
      addLayer(root, 'dm-0', '253:0', ['sda'], 'DMRAID-isw_x');
      mountRoot(root, '253:0');
    },
  },
  'a disk without a partition table': {
    why: /on \/dev\/xvda1, not on partitions of one disk/,
    build: (root) => {
      device(root, 'xvda1', '202:1', { size: 10_000, uevent: 'DEVNAME=xvda1' });
      mountRoot(root, '202:1');
    },
  },
  'a root on two disks': {
    why: /on \/dev\/sda2, \/dev\/sdb3, not on partitions of one disk/,
    build: (root) => {
      addDisk(root, sda);
      addDisk(root, sdb);
      addLayer(root, 'dm-0', '253:0', ['sda/sda2', 'sdb/sdb3'], '');
      mountRoot(root, '253:0');
    },
  },
  'btrfs, ZFS, overlayfs, NFS, a root in memory': {
    why: /on no block device, not on partitions of one disk/,
    build: (root) => {
      addDisk(root, sda);
      mountRoot(root, '0:31');
    },
  },
};

for (const [kind, { why, build }] of Object.entries(REFUSED))
  test(`slots are not looked for on: ${kind}`, () =>
    inKernel(async (root) => {
      build(root);
      await assert.rejects(readDiskFacts(undefined, root), { code: 'slots-unknown', message: why });
    }));

test('the members of an array show its partitions once more, and are no other disks with their labels', () =>
  inKernel(async (root) => {
    const md = DISKS['a partitioned RAID array (md)'] ?? assert.fail();
    const sdc: Disk = { ...sda, name: 'sdc', rdev: '8:32', numbers: numbers(8, 33) };
    for (const disk of [md, sda, sdb, sdc]) addDisk(root, disk);
    for (const one of ['sda', 'sdb']) link(root, `sys/devices/md127/slaves/${one}`, `sys/devices/${one}`);
    assert.deepEqual(
      (await labelsElsewhere(root, '9:127')).map(({ path }) => path),
      LABELS.map((_, index) => `/dev/sdc${index + 1}`),
    );
  }));

test('the page on disks has a row for each kind', () => {
  const rows = new Set([...PAGE.matchAll(/^\| ([^|]+) \|/gm)].map(([, name]) => name?.trim()));
  for (const kind of [DISKS, UNLISTED, REFUSED].flatMap(Object.keys)) assert.ok(rows.has(kind), kind);
});
