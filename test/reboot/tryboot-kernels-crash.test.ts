/** The kernel files of a Raspberry Pi's boot partition: power may fail anywhere, and a slot that has its UKI has the rest of it too. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Version } from '../../src/model.ts';
import type { RecordingDisk } from '../support/recording-disk.ts';
import { piIncoming, piUki } from '../support/tryboot-machine.ts';
import { DIRS, FIRMWARE, kernelsOn, put, storage, unpacked } from '../support/tryboot-storage.ts';

const LOSSES = 15;

async function assemble(disk: RecordingDisk): Promise<void> {
  const bytes = piUki('3');
  const part = await kernelsOn(disk).openPart('b', '3' as Version, bytes.length);
  await part.write(1000, bytes.subarray(1000));
  await part.write(0, bytes.subarray(0, 1000));
  await part.flush();
  assert.equal(await kernelsOn(disk).adoptPart('b', piIncoming('3')), true);
}

/** A slot that would be armed starts exactly the kernel that its UKI holds; the other slot and the firmware are never touched. */
async function check(disk: RecordingDisk, isDone: boolean, when: string): Promise<void> {
  const found = async (slot: 'a' | 'b') => {
    const names = (await disk.files.list(DIRS[slot])).filter((name) => !/\.tandem-/.test(name));
    const read = names.map(async (name) => [name, Buffer.from((await disk.files.read(join(DIRS[slot], name))) ?? [])]);
    return Object.fromEntries(await Promise.all(read)) as Record<string, Buffer>;
  };
  const whole = (version: string) => asBuffers({ ...FIRMWARE, ...unpacked(version) });
  assert.deepEqual(await found('a'), whole('2'), `slot a was touched ${when}`);
  const now = await found('b');
  const version = await kernelsOn(disk).versionOf('b');
  if (isDone) assert.equal(version, '3', `not durable ${when}`);
  if (version !== undefined) assert.deepEqual(now, whole(version), `slot b is a mixture ${when}`);
  for (const [name, bytes] of Object.entries(FIRMWARE)) assert.deepEqual(now[name], bytes, when);
}

const asBuffers = (files: Record<string, Uint8Array>): Record<string, Buffer> =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes)]));

async function everyCut(disk: RecordingDisk): Promise<number> {
  let count = 0;
  for (const cut of disk.crashStates(1, LOSSES)) {
    await check(cut.world, cut.count === disk.log.length, `after ${disk.describe(cut.count)}`);
    count++;
  }
  return count;
}

for (const [name, act] of [
  ['putting', put],
  ['putting together', assemble],
] as const) {
  test(`${name} a kernel: power may fail anywhere, and no slot that can be armed is a mixture`, async (t) => {
    const disk = storage();
    await act(disk);
    t.diagnostic(`${await everyCut(disk)} power cuts`);
  });

  test(`${name} a kernel can be repeated after every power cut`, async () => {
    const disk = storage();
    await act(disk);
    for (const cut of disk.crashStates(2, 1)) {
      await act(cut.world);
      await check(cut.world, true, `after ${disk.describe(cut.count)}`);
      const left = await cut.world.files.list(DIRS.b);
      assert.deepEqual(left, Object.keys({ ...FIRMWARE, ...unpacked('3') }).sort());
    }
  });

  test(`${name} a kernel: leaving out a sync of what the firmware reads is noticed`, async (t) => {
    const whole = storage();
    await act(whole);
    const noticed: number[] = [];
    for (let dropSync = 0; dropSync < whole.syncs; dropSync++) {
      const sloppy = storage({ dropSync });
      await act(sloppy);
      await everyCut(sloppy).catch((error: unknown) => {
        if (!(error instanceof assert.AssertionError)) throw error;
        noticed.push(dropSync);
      });
    }
    t.diagnostic(`noticed ${noticed} of ${whole.syncs}`);
    assert.ok(noticed.length >= 5, `only ${noticed} of ${whole.syncs} were missed`);
  });
}
