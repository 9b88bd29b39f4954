/** Real block devices: who may write, what is refused, and what sgdisk and sfdisk think of our tables. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import { readDiskFacts } from '../../src/partitions/disk-facts.ts';
import { writeImage } from '../../src/partitions/image-writer.ts';
import { openDiskForTable, openFreePartition, openPartitionForReading } from '../../src/partitions/open-partition.ts';
import { readTable } from '../../src/partitions/partition-table.ts';
import { readBack } from '../../src/partitions/read-back.ts';
import { nameSlot, neutralise } from '../../src/partitions/slot-identity.ts';
import { type FreeSlot, freeSlot, resolveSlots, type Slots } from '../../src/partitions/slots.ts';
import { neutralUuid, uuidsOfRootHash } from '../../src/partitions/uuids.ts';
import { openBlockTarget } from '../../src/system/disk/block-device.ts';
import { LABELS, type LoopDisk, loopDisk, MIB, sh } from '../support/loop-disk.ts';

const CONFIG = {
  slots: { a: { root: 'root-a', verity: 'root-a-verity' }, b: { root: 'root-b', verity: 'root-b-verity' } },
};
const HASH = '0123456789abcdef'.repeat(2) + 'fedcba9876543210'.repeat(2);
const QUIET = ['--quiet', '--no-reread', '--no-tell-kernel', '--force'];
const ALONE = { writable: true, exclusive: true } as const;

const code = (expected: ErrorCode, words = /./) => ({ code: expected, message: words });

async function slotsOf(disk: LoopDisk): Promise<{ slots: Slots; slot: FreeSlot }> {
  const slots = resolveSlots(CONFIG, await readDiskFacts(disk.path));
  return { slots, slot: freeSlot(slots, 'a') };
}

async function* inPieces(image: Uint8Array, size = 100_000): AsyncGenerator<{ offset: number; bytes: Uint8Array }> {
  for (let offset = 0; offset < image.length; offset += size)
    yield { offset, bytes: image.subarray(offset, offset + size) };
}

const uuidsBySfdisk = (path: string): Record<string, string> =>
  Object.fromEntries(
    (JSON.parse(sh('sfdisk', '--json', path)).partitiontable.partitions as { name: string; uuid: string }[]).map(
      ({ name, uuid }) => [name, uuid.toLowerCase()],
    ),
  );

for (const sectorSize of [512, 4096])
  describe(`on a disk with sectors of ${sectorSize} bytes`, () => {
    test('an image is written, read back from the medium and named, and other tools find the table in order', async () => {
      using disk = loopDisk(sectorSize);
      const { slots, slot } = await slotsOf(disk);
      assert.equal(slots.disk.sectorSize, sectorSize);
      const before = uuidsBySfdisk(disk.path);
      await neutralise(slots.disk, slot);
      assert.equal(uuidsBySfdisk(disk.path)['root-b'], neutralUuid(slots.disk.guid, 'root-b'));
      const image = randomBytes(3 * MIB + 4096);
      await using target = await openFreePartition(slot, 'root');
      assert.equal(target.sectorSize, sectorSize);
      await writeImage(target, inPieces(image), { size: image.length });
      const seen: Buffer[] = [];
      await readBack(target, image.length, (bytes) => void seen.push(Buffer.from(bytes)));
      assert.ok(Buffer.concat(seen).equals(image));
      await nameSlot(slots.disk, slot, HASH);
      const { root, verity } = uuidsOfRootHash(HASH);
      assert.deepEqual(uuidsBySfdisk(disk.path), { ...before, 'root-b': root, 'root-b-verity': verity });
      assert.match(sh('sgdisk', '--verify', disk.path), /No problems found/);
      assert.match(sh('sfdisk', '--verify', disk.path), /No errors detected/);
    });

    test('a table whose first copy was wiped is read from its backup and repaired by the next change', async () => {
      using disk = loopDisk(sectorSize);
      const whole = uuidsBySfdisk(disk.path);
      sh(
        'dd',
        'if=/dev/zero',
        `of=${disk.path}`,
        `bs=${sectorSize}`,
        'seek=1',
        'count=2',
        'oflag=direct',
        'conv=notrunc',
      );
      const { slots, slot } = await slotsOf(disk);
      await nameSlot(slots.disk, slot, HASH);
      const { root, verity } = uuidsOfRootHash(HASH);
      assert.deepEqual(uuidsBySfdisk(disk.path), { ...whole, 'root-b': root, 'root-b-verity': verity });
      assert.match(sh('sgdisk', '--verify', disk.path), /No problems found/);
    });
  });

describe('a partition is not written', () => {
  test('when it is mounted', async () => {
    using disk = loopDisk();
    const { slot } = await slotsOf(disk);
    const mountpoint = join(disk.dir, 'mnt');
    mkdirSync(mountpoint);
    sh('mke2fs', '-q', '-t', 'ext4', disk.part(4));
    sh('mount', '-o', 'ro', disk.part(4), mountpoint);
    try {
      await assert.rejects(openFreePartition(slot, 'root'), code('slot-in-use', /loop.*p4/));
      await (await openPartitionForReading(slot.root))[Symbol.asyncDispose]();
    } finally {
      sh('umount', mountpoint);
    }
  });

  test('when another writer has it', async () => {
    using disk = loopDisk();
    const { slot } = await slotsOf(disk);
    await using _first = await openFreePartition(slot, 'root');
    await assert.rejects(openFreePartition(slot, 'root'), code('slot-in-use'));
  });

  test('when it is read-only', async () => {
    using disk = loopDisk();
    const { slot } = await slotsOf(disk);
    sh('blockdev', '--setro', disk.part(4));
    await assert.rejects(openFreePartition(slot, 'root'), code('slot-read-only', /loop.*p4/));
  });

  test('when the image is larger: nothing of it is touched, and both sizes are named', async () => {
    using disk = loopDisk();
    const { slot } = await slotsOf(disk);
    const content = randomBytes(4096);
    await using target = await openFreePartition(slot, 'root');
    await target.write(0, content);
    await target.flush();
    const size = 8 * MIB + 4096;
    await assert.rejects(
      writeImage(target, inPieces(randomBytes(4096)), { size }),
      code('slot-too-small', new RegExp(`${size} bytes.*${8 * MIB}`)),
    );
    assert.ok(Buffer.from(await target.read(0, 4096)).equals(content));
  });

  test('when a regular file stands in its place, or nothing: and nothing is created', async () => {
    using disk = loopDisk();
    const { slot } = await slotsOf(disk);
    const file = join(disk.dir, 'impostor');
    const at = (path: string) => openFreePartition({ ...slot, root: { ...slot.root, path } }, 'root');
    await assert.rejects(at(file), code('partition-missing', /impostor/));
    assert.equal(existsSync(file), false);
    writeFileSync(file, 'precious');
    await assert.rejects(at(file), code('not-a-block-device', /impostor/));
    assert.equal(readFileSync(file, 'utf8'), 'precious');
    await assert.rejects(at('/dev/null'), code('not-a-block-device'));
  });

  test('when it is another device, or another size, than was looked up', async () => {
    using disk = loopDisk();
    const { slot } = await slotsOf(disk);
    const other = { ...slot, root: { ...slot.root, path: disk.part(2) } };
    await assert.rejects(openFreePartition(other, 'root'), code('partition-changed'));
    const resized = { ...slot, root: { ...slot.root, size: MIB } };
    await assert.rejects(openFreePartition(resized, 'root'), code('partition-changed'));
  });

  test('beyond its end', async () => {
    using disk = loopDisk();
    await using target = await openBlockTarget(disk.part(4), ALONE);
    await assert.rejects(target.write(8 * MIB - 4096, new Uint8Array(8192)), RangeError);
    await assert.rejects(target.read(8 * MIB, 512), RangeError);
  });
});

describe('slots are not resolved', () => {
  test('when a label is missing: the labels that are there are listed', async () => {
    using disk = loopDisk(512, ['esp', 'root-a', 'root-a-verity', 'root-b', 'other']);
    await assert.rejects(slotsOf(disk), code('partition-missing', /root-b-verity; it has esp, root-a, .*other/));
  });

  test('when two partitions have the same label: both are listed', async () => {
    using disk = loopDisk(512, [...LABELS, 'root-b']);
    await assert.rejects(slotsOf(disk), code('slots-ambiguous', /p4, .*p6/));
  });

  test('when the kernel still has an older idea of where a partition lies', async () => {
    using disk = loopDisk();
    execFileSync('sfdisk', [...QUIET, '--partno=5', disk.path], { input: ',4MiB', stdio: ['pipe', 'ignore', 'pipe'] });
    await assert.rejects(slotsOf(disk), code('partition-changed', /reboot first/));
  });

  test('when the table was changed by hand after they were looked up, before anything is renamed', async () => {
    using disk = loopDisk();
    const { slots, slot } = await slotsOf(disk);
    sh('sfdisk', ...QUIET, '--part-label', disk.path, '4', 'home');
    const before = uuidsBySfdisk(disk.path);
    await assert.rejects(nameSlot(slots.disk, slot, HASH), code('partition-changed', /Partition 4/));
    assert.deepEqual(uuidsBySfdisk(disk.path), before);
  });

  test('when both copies of the table are gone', async () => {
    using disk = loopDisk();
    sh('sfdisk', ...QUIET, '--delete', disk.path);
    sh('wipefs', '--all', '--force', disk.path);
    await assert.rejects(readDiskFacts(disk.path), code('table-invalid'));
  });
});

describe('what is read', () => {
  test('comes from the medium, where the page cache still shows something else', async () => {
    using disk = loopDisk();
    await using target = await openBlockTarget(disk.path, { writable: false, exclusive: false });
    const at = 20 * MIB;
    const cached = openSync(disk.path, 'r');
    const old = Buffer.alloc(4096);
    readSync(cached, old, 0, 4096, at);
    const fresh = randomBytes(4096);
    const behind = openSync(disk.image, 'r+');
    writeSync(behind, fresh, 0, 4096, at);
    closeSync(behind);
    const again = Buffer.alloc(4096);
    readSync(cached, again, 0, 4096, at);
    closeSync(cached);
    assert.ok(again.equals(old), 'the page cache should not have noticed');
    assert.ok(Buffer.from(await target.read(at, 4096)).equals(fresh));
  });

  test('may begin and end anywhere', async () => {
    using disk = loopDisk();
    await using target = await openBlockTarget(disk.part(4), ALONE);
    const image = randomBytes(3 * MIB);
    await target.write(0, image);
    for (const [offset, length] of [
      [1, 1],
      [511, 2],
      [4095, 3 * MIB - 5000],
      [0, 3 * MIB],
    ] as const)
      assert.ok(Buffer.from(await target.read(offset, length)).equals(image.subarray(offset, offset + length)));
  });

  test('after a write and before its flush is what was written', async () => {
    using disk = loopDisk();
    await using target = await openBlockTarget(disk.part(4), ALONE);
    const bytes = randomBytes(1000);
    await target.write(300, bytes);
    assert.ok(Buffer.from(await target.read(300, 1000)).equals(bytes));
  });
});

describe('a disk that fails', () => {
  test('to write: the offset is named, and the target stays failed', async () => {
    using disk = loopDisk();
    const small = join(disk.dir, 'small');
    mkdirSync(small);
    sh('mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', small);
    const image = join(small, 'image');
    sh('truncate', '--size=8M', image);
    const path = sh('losetup', '--find', '--show', image).trim();
    try {
      const target = await openBlockTarget(path, ALONE);
      const fill = async (): Promise<void> => {
        await target.write(0, randomBytes(4 * MIB));
        await target.flush();
      };
      await assert.rejects(fill(), code('disk-write-error', /byte \d+/));
      await assert.rejects(target.write(0, new Uint8Array(512)), code('disk-write-error'));
      await assert.rejects(target.flush(), code('disk-write-error'));
      await assert.rejects(target.read(0, 512), code('disk-write-error'));
      await target[Symbol.asyncDispose]();
    } finally {
      sh('losetup', '--detach', path);
      sh('umount', small);
    }
  });
});

test('the table of a disk whose partitions are in use can be changed, and nothing else of it', async () => {
  using disk = loopDisk();
  const { slots, slot } = await slotsOf(disk);
  await using _running = await openBlockTarget(disk.part(2), ALONE);
  const content = (number: number): string => sh('sha256sum', disk.part(number));
  const before = LABELS.map((_, index) => content(index + 1).split(' ')[0]);
  await nameSlot(slots.disk, slot, HASH);
  assert.deepEqual(
    LABELS.map((_, index) => content(index + 1).split(' ')[0]),
    before,
  );
  await using whole = await openDiskForTable(slots.disk);
  const table = await readTable(whole, [512]);
  assert.equal(table.entries.find(({ label }) => label === 'root-b')?.uuid, uuidsOfRootHash(HASH).root);
  assert.equal(statSync(disk.image).size, 64 * MIB);
});
