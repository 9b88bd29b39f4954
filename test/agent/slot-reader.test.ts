/** The row of blocks of a slot is read alike from a disk and through memory of the caller, across the border of its two images. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { slotReader } from '../../src/agent/install/delta/slot-reader.ts';
import { volume } from '../../src/bundle/image/volume.ts';
import { BLOCK } from '../../src/bundle/verity.ts';
import { readDiskFacts } from '../../src/partitions/disk-facts.ts';
import { openFreePartition, openPartitionForReading } from '../../src/partitions/open-partition.ts';
import { freeSlot, resolveSlots } from '../../src/partitions/slots.ts';
import { alignedBuffers } from '../../src/system/disk/aligned-memory.ts';
import type { BlockTarget } from '../../src/system/disk/block-target.ts';
import { loopDisk } from '../support/loop-disk.ts';

const ROOT_BLOCKS = 40;
/** The last of its three blocks is filled up. */
const UKI_SIZE = 2 * BLOCK + 100;
const ROOT = randomBytes(ROOT_BLOCKS * BLOCK);
const UKI = randomBytes(UKI_SIZE);
const ROW = Buffer.concat([ROOT, UKI, Buffer.alloc(3 * BLOCK - UKI_SIZE)]);
const VOLUME = volume([
  { role: 'root', size: ROOT.length },
  { role: 'uki', size: UKI_SIZE },
]);
const CONFIG = {
  slots: { a: { root: 'root-a', verity: 'root-a-verity' }, b: { root: 'root-b', verity: 'root-b-verity' } },
};
const uki = { size: UKI_SIZE, read: async (at: number, length: number) => UKI.subarray(at, at + length) };

/** Every way to cut the row that touches a border. */
const ROWS: readonly (readonly [first: number, count: number])[] = [
  [0, 1],
  [0, ROOT_BLOCKS],
  [7, 30],
  [ROOT_BLOCKS - 1, 1],
  [ROOT_BLOCKS - 1, 2],
  [ROOT_BLOCKS, 1],
  [ROOT_BLOCKS + 1, 2],
  [0, ROOT_BLOCKS + 3],
];

async function isRead(root: BlockTarget): Promise<void> {
  const reader = slotReader(VOLUME, root, uki);
  assert.equal(reader.blocks, ROOT_BLOCKS + 3);
  for (const [first, count] of ROWS) {
    const wanted = ROW.subarray(first * BLOCK, (first + count) * BLOCK);
    const into = alignedBuffers(1, count * BLOCK)[0] ?? assert.fail();
    await reader.readInto(first, into);
    assert.ok(Buffer.from(into).equals(wanted), `${count} blocks from ${first} on, into memory`);
    assert.ok(Buffer.from(await reader.read(first, count)).equals(wanted), `${count} blocks from ${first} on`);
  }
}

test('from a real disk, past the page cache', async () => {
  using disk = loopDisk();
  const slot = freeSlot(resolveSlots(CONFIG, await readDiskFacts(disk.path)), 'a');
  {
    await using target = await openFreePartition(slot, 'root');
    await target.write(0, ROOT);
    await target.flush();
  }
  await using target = await openPartitionForReading(slot.root);
  assert.ok(target.readInto, 'the way that every real disk is read');
  await isRead(target);
  // Several pieces are asked for at a time.
  const reader = slotReader(VOLUME, target, uki);
  const pieces = alignedBuffers(ROOT_BLOCKS, BLOCK);
  await Promise.all(pieces.map((into, first) => reader.readInto(first, into)));
  assert.ok(Buffer.concat(pieces).equals(ROOT));
});

const MEMORY: BlockTarget = {
  name: 'memory',
  size: ROOT.length,
  read: async (at, length) => ROOT.subarray(at, at + length),
  write: () => assert.fail('a reader writes nothing'),
  flush: () => assert.fail('a reader writes nothing'),
  [Symbol.asyncDispose]: async () => undefined,
};

test('from a target that fills no memory of others', () => isRead(MEMORY));

test('a kernel image that is not there is read as zeros', async () => {
  const last = Buffer.concat([ROOT.subarray(-BLOCK), Buffer.alloc(3 * BLOCK)]);
  assert.ok(Buffer.from(await slotReader(VOLUME, MEMORY, undefined).read(ROOT_BLOCKS - 1, 4)).equals(last));
});
