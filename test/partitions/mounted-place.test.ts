/** Where the partition lies that is mounted somewhere, and whether it can be written: on a real disk, with a real mount. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { placeOfMounted } from '../../src/partitions/disk-facts.ts';
import { writeGuid } from '../../src/partitions/guid.ts';
import { writableSpace } from '../../src/system/files.ts';
import { type LoopDisk, loopDisk, sh } from '../support/loop-disk.ts';

/** `deed` is done while the first partition is mounted. */
async function whileMounted(disk: LoopDisk, deed: (dir: string) => Promise<void>): Promise<void> {
  const dir = join(disk.dir, 'esp');
  mkdirSync(dir);
  sh('mkfs.ext4', '-q', disk.part(1));
  sh('mount', disk.part(1), dir);
  try {
    await deed(dir);
  } finally {
    sh('umount', dir);
  }
}

/** As sfdisk reads it from the table. */
function told(disk: LoopDisk) {
  const line =
    sh('sfdisk', '--dump', disk.path)
      .split('\n')
      .find((one) => one.startsWith(disk.part(1))) ?? '';
  const [, start, size, uuid] = /start= *(\d+), size= *(\d+),.* uuid=([0-9A-F-]+)/.exec(line) ?? [];
  const guid = new Uint8Array(16);
  writeGuid(guid, 0, (uuid ?? '').toLowerCase());
  return { number: 1, firstSector: Number(start), sectors: Number(size), guid };
}

for (const sectorSize of [512, 4096])
  test(`the place of a mounted partition is that of the table, in sectors of ${sectorSize} bytes`, async () => {
    using disk = loopDisk(sectorSize);
    await whileMounted(disk, async (dir) => assert.deepEqual(await placeOfMounted(dir), told(disk)));
  });

test('where no partition is mounted there is no place to tell', async () => {
  await assert.rejects(placeOfMounted('/proc'), { code: 'boot-partition-missing', message: /mounted on \/proc/ });
  await assert.rejects(placeOfMounted('/nowhere'), { code: 'boot-partition-missing' });
});

test('what was mounted read-only has no room, for root neither, before anything is written', async () => {
  using disk = loopDisk();
  await whileMounted(disk, async (dir) => {
    assert.ok((await writableSpace(dir)) > 0);
    sh('mount', '-o', 'remount,ro', dir);
    await assert.rejects(writableSpace(dir), { code: 'EROFS' });
  });
});
