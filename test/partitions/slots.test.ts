/** Which partitions are the slots and which slot runs, from made-up kernels. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { readDiskFacts } from '../../src/partitions/disk-facts.ts';
import { bootedSlot, type DiskFacts, freeSlot, freeSlotNamed, resolveSlots } from '../../src/partitions/slots.ts';
import { kernelPartitions, rootDevices } from '../../src/system/mounts.ts';
import { gptDisk } from '../support/gpt-disk.ts';

const LABELS = ['root-a', 'root-a-verity', 'root-b', 'root-b-verity'];
const CONFIG = {
  slots: { a: { root: 'root-a', verity: 'root-a-verity' }, b: { root: 'root-b', verity: 'root-b-verity' } },
};
const KIB = 1024;

const partitionOf = (label: string, index: number) => ({
  number: index + 1,
  type: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
  uuid: `0000000${index}-aaaa-bbbb-cccc-dddddddddddd`,
  label,
  offset: 64 * KIB * (index + 1),
  size: 64 * KIB,
  attributes: 0n,
  path: `/dev/vda${index + 1}`,
  rdev: `254:${index + 1}`,
});

const facts = (change: Partial<DiskFacts> = {}): DiskFacts => ({
  disk: { path: '/dev/vda', rdev: '254:0', guid: '11111111-2222-3333-4444-555555555555', sectorSize: 512 },
  partitions: LABELS.map(partitionOf),
  rootDevices: ['254:1', '254:2'],
  elsewhere: [],
  ...change,
});

describe('slots', () => {
  test('are found by their labels', () => {
    const slots = resolveSlots(CONFIG, facts());
    assert.equal(slots.a.verity?.path, '/dev/vda2');
    assert.equal(slots.b.root.path, '/dev/vda3');
  });

  test('may have their tree in the same partition', () => {
    const slots = resolveSlots({ slots: { a: { root: 'root-a' }, b: { root: 'root-b' } } }, facts());
    assert.equal('verity' in slots.a, false);
    assert.equal(bootedSlot(slots, facts({ rootDevices: ['254:3'] })), 'b');
  });

  test('are refused when a label is missing, twice on the disk, or also on another disk', () => {
    const without = facts({ partitions: LABELS.slice(1).map(partitionOf) });
    assert.throws(() => resolveSlots(CONFIG, without), {
      code: 'partition-missing',
      message: /root-a; it has root-a-verity, /,
    });
    const twice = facts({ partitions: [...LABELS, 'root-b'].map(partitionOf) });
    assert.throws(() => resolveSlots(CONFIG, twice), { code: 'slots-ambiguous', message: /vda3, \/dev\/vda5/ });
    const stick = facts({ elsewhere: [{ path: '/dev/sdb1', label: 'root-b' }] });
    assert.throws(() => resolveSlots(CONFIG, stick), { code: 'slots-ambiguous', message: /vda3, \/dev\/sdb1/ });
  });

  test('are refused when they share a partition', () => {
    const config = { slots: { a: CONFIG.slots.a, b: { root: 'root-b', verity: 'root-a-verity' } } };
    assert.throws(() => resolveSlots(config, facts()), { code: 'slots-unknown' });
  });
});

describe('the running slot', () => {
  const slots = resolveSlots(CONFIG, facts());

  test('is the one that the kernel has open for /', () => {
    assert.equal(bootedSlot(slots, facts()), 'a');
    assert.equal(bootedSlot(slots, facts({ rootDevices: ['254:4', '254:3'] })), 'b');
  });

  test('is unknown when / lies elsewhere, on nothing, or on both', () => {
    for (const devices of [['8:1'], [], ['254:1', '254:4']])
      assert.throws(() => bootedSlot(slots, facts({ rootDevices: devices })), { code: 'slots-unknown' });
  });

  test('is never the free one', () => {
    assert.equal(freeSlot(slots, 'a').name, 'b');
    assert.equal(freeSlot(slots, 'b').name, 'a');
    assert.equal(freeSlotNamed(slots, 'a', 'b').name, 'b');
    assert.throws(() => freeSlotNamed(slots, 'a', 'a'), { code: 'slot-booted' });
  });
});

describe('the kernel is asked', () => {
  test('through dm-verity down to the partitions of one disk', () =>
    withKernel(async (root) => {
      assert.deepEqual(
        (await rootDevices(root)).map(({ rdev, path, disk, number }) => ({ rdev, path, disk, number })),
        [
          { rdev: '254:1', path: '/dev/vda1', disk: '254:0', number: 1 },
          { rdev: '254:2', path: '/dev/vda2', disk: '254:0', number: 2 },
        ],
      );
    }));

  test('without verity too, and the topmost mount at / counts', () =>
    withKernel(async (root) => {
      mountinfo(root, [
        '1 0 0:2 / / rw - rootfs rootfs rw',
        '22 1 254:3 / / ro - ext4 /dev/vda3 ro',
        '23 22 0:5 / /proc rw - proc proc rw',
      ]);
      assert.deepEqual(
        (await rootDevices(root)).map(({ path }) => path),
        ['/dev/vda3'],
      );
    }));

  test('and a root in memory lies on nothing', () =>
    withKernel(async (root) => {
      mountinfo(root, ['22 1 0:27 / / rw - tmpfs tmpfs rw']);
      assert.deepEqual(await rootDevices(root), []);
      await assert.rejects(readDiskFacts(undefined, root), { code: 'slots-unknown', message: /no block device/ });
    }));

  test('for all partitions, their labels and places, on odd names too', () =>
    withKernel(async (root) => {
      device(root, 'cciss!c0d0', '104:0', { size: 100 });
      device(root, 'cciss!c0d0/cciss!c0d0p1', '104:1', {
        partition: 1,
        start: 8,
        size: 16,
        uevent: 'PARTNAME=root-b\n',
      });
      const found = (await kernelPartitions(root)).find(({ rdev }) => rdev === '104:1');
      assert.deepEqual(found, {
        rdev: '104:1',
        path: '/dev/cciss/c0d0p1',
        disk: '104:0',
        number: 1,
        offset: 4096,
        size: 8192,
        label: 'root-b',
      });
    }));
});

test('a disk in a regular file has slots in ranges of it', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-slots-'));
  try {
    const path = join(dir, 'disk');
    writeFileSync(path, gptDisk(512 * KIB, 4096, LABELS.map(partitionOf)));
    const slots = resolveSlots(CONFIG, await readDiskFacts(path));
    assert.equal(slots.disk.rdev, undefined);
    assert.equal(slots.disk.sectorSize, 4096);
    assert.deepEqual(
      { path: slots.b.root.path, offset: slots.b.root.offset, size: slots.b.root.size },
      { path, offset: 192 * KIB, size: 64 * KIB },
    );
    await assert.rejects(readDiskFacts(join(dir, 'absent')), { code: 'partition-missing' });
  } finally {
    rmSync(dir, { recursive: true });
  }
});

/** /proc and /sys of a machine that runs slot a through dm-verity. */
async function withKernel(deed: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'tandem-kernel-'));
  try {
    device(root, 'vda', '254:0', { size: 2048 });
    for (const [index] of LABELS.entries())
      device(root, `vda/vda${index + 1}`, `254:${index + 1}`, {
        partition: index + 1,
        start: 128 * (index + 1),
        size: 128,
      });
    device(root, 'dm-0', '253:0', { size: 128 });
    for (const name of ['vda1', 'vda2']) link(root, `sys/devices/dm-0/slaves/${name}`, `sys/devices/vda/${name}`);
    mountinfo(root, [
      '22 1 253:0 / / ro,relatime shared:1 - erofs /dev/mapper/root ro',
      '30 22 254:4 / /var rw - ext4 x rw',
    ]);
    await deed(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

function device(root: string, name: string, rdev: string, files: Record<string, string | number>): void {
  const dir = join(root, 'sys/devices', name);
  mkdirSync(dir, { recursive: true });
  for (const [file, content] of Object.entries({ dev: rdev, ...files })) writeFileSync(join(dir, file), `${content}\n`);
  link(root, `sys/dev/block/${rdev}`, `sys/devices/${name}`);
}

function link(root: string, from: string, to: string): void {
  mkdirSync(dirname(join(root, from)), { recursive: true });
  symlinkSync(join(root, to), join(root, from));
}

function mountinfo(root: string, lines: readonly string[]): void {
  mkdirSync(join(root, 'proc/self'), { recursive: true });
  writeFileSync(join(root, 'proc/self/mountinfo'), `${lines.join('\n')}\n`);
}
