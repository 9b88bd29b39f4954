/** A release that cannot be installed costs a host nothing: the slot that it falls back to stays as it is. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTable } from '../../src/partitions/partition-table.ts';
import { checkNames, neutralise } from '../../src/partitions/slot-identity.ts';
import { type FreeSlot, freeSlot, resolveSlots } from '../../src/partitions/slots.ts';
import { DISK_GUID, gptDisk } from '../support/gpt-disk.ts';
import { RecordingDisk } from '../support/recording-disk.ts';
import { freshStorage, liveUntilRest, makeUpdate } from '../support/simulated-host.ts';

test('the same version with other bytes is refused at each check, and the way back stays whole', async () => {
  const storage = freshStorage();
  assert.equal((await liveUntilRest(storage, await makeUpdate('good'))).running?.version, '2');
  const before = {
    disk: storage.bytes(0, storage.disk.size).slice(),
    files: await storage.files.list('/efi/EFI/Linux'),
  };
  const rebuilt = await makeUpdate('good', 'another build of 2');
  for (let checks = 0; checks < 2; checks++) {
    const end = await liveUntilRest(storage, rebuilt);
    assert.deepEqual([end.running?.version, end.state.kind, end.lastError?.code], ['2', 'idle', 'boot-version-clash']);
    assert.deepEqual([end.slots?.a.bootable, end.slots?.a.version], [true, '1']);
  }
  assert.deepEqual(Buffer.from(storage.bytes(0, storage.disk.size)), Buffer.from(before.disk));
  assert.deepEqual(await storage.files.list('/efi/EFI/Linux'), before.files);
});

const PART = 64 * 1024;
const LABELS = ['root-a', 'root-a-verity', 'root-b', 'root-b-verity'];

async function tableWorld(change: (bytes: Uint8Array) => void) {
  const uuid = (index: number) => `00000000-0000-4000-8000-00000000000${index}`;
  const parts = LABELS.map((label, index) => ({ label, offset: PART * (index + 1), size: PART, uuid: uuid(index) }));
  const bytes = gptDisk(PART * 6, 512, parts);
  const whole = new RecordingDisk({ disk: bytes.slice() });
  const { entries } = await readTable(whole.disk, [512]);
  const partitions = entries.map((entry) => ({ ...entry, path: `/dev/d${entry.number}`, rdev: `254:${entry.number}` }));
  const disk = { path: '/dev/d', rdev: '254:0', guid: DISK_GUID, sectorSize: 512 };
  const slots = resolveSlots(
    { slots: { a: { root: 'root-a', verity: 'root-a-verity' }, b: { root: 'root-b', verity: 'root-b-verity' } } },
    { disk, partitions, rootDevices: ['254:1'], elsewhere: [] },
  );
  change(bytes);
  const world = new RecordingDisk({ disk: bytes });
  const slot: FreeSlot = freeSlot(slots, 'a');
  return { world, disk: slots.disk, slot, open: async () => world.disk };
}

for (const [fault, change] of Object.entries({
  'is damaged in both copies': (bytes: Uint8Array) => {
    bytes.fill(0, 512, 1024);
    bytes.fill(0, bytes.length - 512);
  },
  'has other partitions by now': (bytes: Uint8Array) => bytes.set(gptDisk(PART * 6, 512, []), 0),
}))
  test(`a table that ${fault} is found out before anything is taken from the slot`, async () => {
    const { world, disk, slot, open } = await tableWorld(change);
    const code = await neutralise(disk, slot, open).then(
      () => assert.fail('it could be changed'),
      (error: unknown) => Reflect.get(Object(error), 'code'),
    );
    await assert.rejects(checkNames(disk, slot, open), { code });
    assert.equal(world.log.filter(({ op }) => op === 'block').length, 0);
  });

test('a table of which one copy is damaged can be changed, and looking at it changes nothing', async () => {
  const { world, disk, slot, open } = await tableWorld((bytes) => bytes.fill(0, 512, 1024));
  await checkNames(disk, slot, open);
  assert.equal(world.log.length, 0);
});
