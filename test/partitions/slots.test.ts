/** Which partitions are the slots and which slot runs, from made-up kernels. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { findHost, realDoors } from '../../src/agent/install/host.ts';
import type { Sha256 } from '../../src/model.ts';
import { readDiskFacts } from '../../src/partitions/disk-facts.ts';
import {
  bootedSlot,
  type DiskFacts,
  freeSlot,
  freeSlotNamed,
  resolveSlots,
  slotWithUuids,
} from '../../src/partitions/slots.ts';
import { kernelPartitions, rootDevices } from '../../src/system/disk/mounts.ts';
import { gptDisk } from '../support/gpt-disk.ts';
import { device, link, mountinfo } from '../support/kernel-files.ts';

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
    assert.equal(
      bootedSlot({ slots: { a: { root: 'root-a' }, b: { root: 'root-b' } } }, facts({ rootDevices: ['254:3'] })),
      'b',
    );
  });

  test('are refused when a label is missing', () => {
    const without = facts({ partitions: LABELS.slice(1).map(partitionOf) });
    assert.throws(() => resolveSlots(CONFIG, without), {
      code: 'partition-missing',
      message: /root-a; it has root-a-verity, /,
    });
  });

  test('are refused when they share a partition', () => {
    const config = { slots: { a: CONFIG.slots.a, b: { root: 'root-b', verity: 'root-a-verity' } } };
    assert.throws(() => resolveSlots(config, facts()), { code: 'slots-unknown' });
  });
});

describe('the running slot', () => {
  const slots = resolveSlots(CONFIG, facts());

  test('is the one that the kernel has open for /', () => {
    assert.equal(bootedSlot(CONFIG, facts()), 'a');
    assert.equal(bootedSlot(CONFIG, facts({ rootDevices: ['254:4', '254:3'] })), 'b');
  });

  test('is unknown when / lies elsewhere, on nothing, or on both', () => {
    for (const devices of [['8:1'], [], ['254:1', '254:4']])
      assert.throws(() => bootedSlot(CONFIG, facts({ rootDevices: devices })), { code: 'slots-unknown' });
  });

  test('is never the free one', () => {
    assert.equal(freeSlot(slots, 'a').name, 'b');
    assert.equal(freeSlot(slots, 'b').name, 'a');
    assert.equal(freeSlotNamed(slots, 'a', 'b').name, 'b');
    assert.throws(() => freeSlotNamed(slots, 'a', 'a'), { code: 'slot-booted' });
  });
});

const ambiguous = (message: RegExp) => ({ code: 'slots-ambiguous', message });
const writing = (found: DiskFacts) => freeSlotNamed(resolveSlots(CONFIG, found), bootedSlot(CONFIG, found), 'b');
const STICK = { path: '/dev/sdb1', label: 'root-b' };
const CLONE = { ...STICK, uuid: '00000002-aaaa-bbbb-cccc-dddddddddddd' };

describe('what looks like a slot, and is none', () => {
  const twice = facts({ partitions: [...LABELS, 'root-b'].map(partitionOf) });
  const stick = facts({ elsewhere: [STICK] });

  test('forbids to write, and both are named', () => {
    assert.throws(() => writing(twice), ambiguous(/root-b is on more than one partition: .*vda3, \/dev\/vda5/));
    assert.throws(() => writing(stick), ambiguous(/vda3, \/dev\/sdb1/));
    assert.throws(() => freeSlot(resolveSlots(CONFIG, stick), 'a'), ambiguous(/sdb1/));
  });

  test('does not hide which slot runs, nor its partitions', () => {
    for (const found of [twice, stick, facts({ elsewhere: [{ path: '/dev/sdb1', label: 'root-a' }] })])
      assert.equal(bootedSlot(CONFIG, found), 'a');
    const copies = facts({
      partitions: ['root-a', ...LABELS].map(partitionOf),
      rootDevices: ['254:2', '254:3'],
    });
    assert.equal(bootedSlot(CONFIG, copies), 'a');
    assert.equal(resolveSlots(CONFIG, copies).a.root.path, '/dev/vda2', 'the one that / lies on');
  });

  test('does not matter when it carries another label, or lies on another disk than the one that is chosen', () => {
    assert.equal(writing(facts({ elsewhere: [{ path: '/dev/sdb1', label: 'data' }] })).name, 'b');
    assert.equal(writing(facts({ elsewhere: [STICK], isChosen: true })).name, 'b');
    assert.equal(writing(facts({ elsewhere: [{ ...CLONE, uuid: 'f'.repeat(8) }], isChosen: true })).name, 'b');
  });

  test('still forbids to write on the disk that is chosen, when the label is twice on it or the UUID is doubled', () => {
    assert.throws(() => writing({ ...twice, isChosen: true }), ambiguous(/vda5/));
    assert.throws(() => writing(facts({ elsewhere: [CLONE], isChosen: true })), ambiguous(/with its UUID: .*sdb1/));
  });

  test('is found by the UUIDs of its root hash, whichever of several with one label it is', () => {
    const uuids = { root: partitionOf('', 4).uuid, verity: partitionOf('', 3).uuid };
    assert.equal(slotWithUuids(CONFIG, twice, uuids), 'b');
    assert.equal(slotWithUuids(CONFIG, twice, { ...uuids, verity: 'x' }), undefined);
    assert.equal(slotWithUuids({ slots: { a: { root: 'root-a' }, b: { root: 'root-b' } } }, twice, uuids), 'b');
  });
});

test('a partition that the kernel knows at another place is not written, and does not hide which slot runs', () => {
  const moved = facts({
    partitions: LABELS.map(partitionOf).map((one) => (one.number === 4 ? { ...one, changed: 'reboot first' } : one)),
  });
  assert.equal(bootedSlot(CONFIG, moved), 'a');
  assert.throws(() => writing(moved), { code: 'partition-changed', message: /reboot first/ });
});

test('a host whose other slot is gone, doubled or moved knows which one runs, and says so only to who wants the other', async () => {
  const hostOf = (found: DiskFacts) =>
    findHost(CONFIG, { ...realDoors(undefined, () => {}), facts: async () => found, booted: bootedSlot });
  for (const [code, found] of [
    ['partition-missing', facts({ partitions: LABELS.slice(0, 2).map(partitionOf) })],
    ['slots-ambiguous', facts({ elsewhere: [STICK] })],
    [
      'partition-changed',
      facts({ partitions: LABELS.map((label, index) => ({ ...partitionOf(label, index), changed: 'x' })) }),
    ],
  ] as const) {
    const host = await hostOf(found);
    assert.equal(host.booted, 'a');
    assert.equal(await host.slotOfRootHash('ab'.repeat(32) as Sha256), undefined);
    await assert.rejects(host.openSlot('b'), { code });
  }
});

test('flags in the partition table are written though another disk has the same labels, not when they are twice on this one', async () => {
  const flagging = async (found: DiskFacts): Promise<unknown> => {
    const host = await findHost(CONFIG, {
      ...realDoors(undefined, () => {}),
      facts: async () => found,
      booted: bootedSlot,
      openTable: async () => Promise.reject(new Error('opened')),
    });
    return host.attributes.write({ a: 1n, b: 0n });
  };
  await assert.rejects(flagging(facts({ elsewhere: [STICK] })), /opened/);
  await assert.rejects(flagging(facts({ partitions: [...LABELS, 'root-b'].map(partitionOf) })), {
    code: 'slots-ambiguous',
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

  test('for the UUID of a partition, and udev where the kernel is older than Linux 6.9', () =>
    withKernel(async (root) => {
      device(root, 'sda', '8:0', { size: 100 });
      device(root, 'sda/sda1', '8:1', { partition: 1, start: 8, size: 16, uevent: 'PARTNAME=x\nPARTUUID=AB-1' });
      device(root, 'sda/sda2', '8:2', { partition: 2, start: 32, size: 16, uevent: 'PARTNAME=y' });
      mkdirSync(join(root, 'run/udev/data'), { recursive: true });
      writeFileSync(join(root, 'run/udev/data/b8:2'), 'S:disk/by-label/y\nE:ID_PART_ENTRY_UUID=cd-2\n');
      const found = await kernelPartitions(root);
      assert.deepEqual(
        found.filter(({ disk }) => disk === '8:0').map(({ uuid }) => uuid),
        ['ab-1', 'cd-2'],
      );
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
