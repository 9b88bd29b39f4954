/** Power cuts at every point of what this part writes: the table, an image, a small file; and with each single sync left out. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { writeImage } from '../../src/partitions/image-writer.ts';
import { readTable } from '../../src/partitions/partition-table.ts';
import { keepable, readBack } from '../../src/partitions/read-back.ts';
import { nameSlot, neutralise } from '../../src/partitions/slot-identity.ts';
import { type FreeSlot, freeSlot, resolveSlots, type Slots } from '../../src/partitions/slots.ts';
import { uuidsOfRootHash } from '../../src/partitions/uuids.ts';
import { removeFile, replaceFile } from '../../src/system/files.ts';
import { gptDisk } from '../support/gpt-disk.ts';
import { PowerCut, RecordingDisk, type RecordingOptions } from '../support/recording-disk.ts';

const PART = 64 * 1024;
const FRAME = 16 * 1024;
const LABELS = ['root-a', 'root-a-verity', 'root-b', 'root-b-verity'];
const START = 64 * 1024;
const DISK_SIZE = START + LABELS.length * PART + 64 * 1024;
const OLD_IMAGE = imageOf(1);
const NEW_IMAGE = imageOf(2);
const OLD = hashOf(OLD_IMAGE);
const NEW = hashOf(NEW_IMAGE);
const LOSSES = 8;

/** A deed in steps; a check is told which of them are done, and so must have lasted. */
type Steps = Readonly<Record<string, (world: RecordingDisk) => Promise<void>>>;
type Check = (world: RecordingDisk, done: ReadonlySet<string>) => Promise<void>;

const RENAME: Steps = { named: (world) => rename(world, NEW) };
const INSTALL: Steps = {
  neutral: async (world) => {
    const { slots, slot } = await slotsOf(world);
    await neutralise(slots.disk, slot, async () => world.disk);
  },
  written: (world) => write(world, new Set()),
  named: (world) => rename(world, NEW),
};
const REPLACE: Steps = {
  replaced: (world) => replaceFile(world.files, '/state/a', Buffer.from('new content')),
  removed: (world) => removeFile(world.files, '/state/b'),
};
const FILES: RecordingOptions = {
  files: new Map([
    ['/state/a', Buffer.from('old')],
    ['/state/b', Buffer.from('gone')],
  ]),
  dirs: ['/state'],
};

describe('after a power cut at any point', () => {
  test('one copy of the table is valid, and a slot has both its names changed or neither', async () => {
    await everyCrash({ disk: disk() }, RENAME, checkTable);
  });

  test('a table whose first copy is bad is repaired without ever losing the good one', async () => {
    await everyCrash({ disk: damaged(512 + 20) }, RENAME, checkTable);
  });

  test('a table whose backup is bad is repaired without ever losing the good one', async () => {
    await everyCrash({ disk: damaged(DISK_SIZE - 512 + 20) }, RENAME, checkTable);
  });

  test('a named slot holds exactly the image of its name, and a half-written one has no superblock', async () => {
    await everyCrash({ disk: disk() }, INSTALL, checkInstall);
  });

  test('the next attempt finishes and keeps the frames that lie right', async () => {
    const world = new RecordingDisk({ disk: disk() });
    await perform(world, INSTALL);
    let kept = 0;
    for (const cut of world.crashStates(5, 2)) {
      kept += await resume(cut.world);
      assert.deepEqual(await namesOf(cut.world), uuidsOfRootHash(NEW), world.describe(cut.count));
      assert.deepEqual(contentOf(cut.world), NEW_IMAGE);
    }
    assert.ok(kept > 0, 'no frame was ever kept');
  });

  test('a replaced file is the old one or the new one', async () => {
    await everyCrash(FILES, REPLACE, checkFiles);
  });
});

describe('a process that was killed and does its work again has lost nothing that it relies on when power fails later', () => {
  test('in a change of the table', () => everyKill({ disk: disk() }, RENAME, checkTable));
  test('in an install', () => everyKill({ disk: disk() }, INSTALL, checkInstall));
  test('in the replacement and removal of a file', () => everyKill(FILES, REPLACE, checkFiles));
});

describe('leaving out any one sync is noticed by these checks', () => {
  test('in a change of the table', () => everyDroppedSync({ disk: disk() }, RENAME, checkTable));
  test('in an install', () => everyDroppedSync({ disk: disk() }, INSTALL, checkInstall));
  test('in the replacement and removal of a file', () => everyDroppedSync(FILES, REPLACE, checkFiles));
});

/** Returns how long the log was after each step. */
async function perform(world: RecordingDisk, steps: Steps): Promise<[string, number][]> {
  const ends: [string, number][] = [];
  for (const [name, step] of Object.entries(steps)) {
    await step(world);
    ends.push([name, world.log.length]);
  }
  return ends;
}

async function everyCrash(options: RecordingOptions, steps: Steps, check: Check, seed = 1): Promise<void> {
  const world = new RecordingDisk(options);
  await checkCrashes(world, await perform(world, steps), check, seed);
}

async function checkCrashes(
  world: RecordingDisk,
  ends: [string, number][],
  check: Check,
  seed: number,
  from = 0,
): Promise<void> {
  for (const state of world.crashStates(seed, LOSSES, from)) {
    const done = new Set(ends.filter(([, length]) => length <= state.count).map(([name]) => name));
    await check(state.world, done).catch((cause: unknown) => {
      throw new Error(`cut ${state.count}, seed ${state.seed}: ${world.describe(state.count)}: ${cause}`, { cause });
    });
  }
}

/**
 * Killed at each operation, done again on the same machine (nothing un-synced is lost by a kill), and then every power cut. `drop`:
 * the sync of the second run that does nothing.
 */
async function everyKill(options: RecordingOptions, steps: Steps, check: Check, drop?: number): Promise<void> {
  const whole = new RecordingDisk(options);
  await perform(whole, steps);
  for (let at = 0; at < whole.log.length; at++) {
    let killed = false;
    const before = (_: unknown, index: number): void => {
      if (killed || index < at) return;
      killed = true;
      throw new PowerCut();
    };
    const world = new RecordingDisk({ ...options, before });
    await assert.rejects(perform(world, steps), PowerCut);
    if (drop !== undefined) world.dropSync = world.syncs + drop;
    await checkCrashes(world, await perform(world, steps), check, at, at);
  }
}

async function everyDroppedSync(options: RecordingOptions, steps: Steps, check: Check): Promise<void> {
  const whole = new RecordingDisk(options);
  await perform(whole, steps);
  assert.ok(whole.syncs > 0);
  for (let dropSync = 0; dropSync < whole.syncs; dropSync++)
    await assert.rejects(
      async () => {
        for (let seed = 1; seed <= 20; seed++) await everyCrash({ ...options, dropSync }, steps, check, seed);
        await everyKill(options, steps, check, dropSync);
      },
      /^Error: cut/,
      `nothing notices that sync ${dropSync} is missing`,
    );
}

const checkTable: Check = async (world, done) => {
  const names = await namesOf(world);
  if (done.has('named')) return assert.deepEqual(names, uuidsOfRootHash(NEW));
  const allowed = [uuidsOfRootHash(OLD), uuidsOfRootHash(NEW)].map((each) => JSON.stringify(each));
  assert.ok(allowed.includes(JSON.stringify(names)), `half a change: ${JSON.stringify(names)}`);
};

const checkInstall: Check = async (world, done) => {
  const names = JSON.stringify(await namesOf(world));
  const content = contentOf(world);
  const isOld = content.equals(OLD_IMAGE);
  const isNew = content.equals(NEW_IMAGE);
  assert.ok(names !== JSON.stringify(uuidsOfRootHash(OLD)) || isOld, 'the old name on something else');
  assert.ok(names !== JSON.stringify(uuidsOfRootHash(NEW)) || isNew, 'the new name on something else');
  assert.ok(isOld || isNew || isTornOrZero(content.subarray(0, 4096)), 'a superblock on something half-written');
  if (done.has('neutral')) assert.notEqual(names, JSON.stringify(uuidsOfRootHash(OLD)));
  if (done.has('written')) assert.ok(isNew, 'the image did not last');
  if (done.has('named')) assert.equal(names, JSON.stringify(uuidsOfRootHash(NEW)), 'the name did not last');
};

const checkFiles: Check = async (world, done) => {
  const text = async (path: string) => Buffer.from((await world.files.read(path)) ?? []).toString();
  const content = await text('/state/a');
  assert.ok(['old', 'new content'].includes(content), `torn: ${JSON.stringify(content)}`);
  if (done.has('replaced')) assert.equal(content, 'new content');
  if (done.has('removed')) assert.equal(await world.files.read('/state/b'), undefined);
};

/** The superblock itself may be torn while it is being zeroed or written: every sector is then of one of the images, or zero. */
function isTornOrZero(block: Uint8Array): boolean {
  const sectors = Array.from({ length: 8 }, (_, index) => block.subarray(index * 512, index * 512 + 512));
  return sectors.some((sector) => sector.every((byte) => byte === 0));
}

async function rename(world: RecordingDisk, rootHash: string): Promise<void> {
  const { slots, slot } = await slotsOf(world);
  await nameSlot(slots.disk, slot, rootHash, async () => world.disk);
}

async function write(world: RecordingDisk, keep: ReadonlySet<number>): Promise<void> {
  const { slot } = await slotsOf(world);
  const frames = Array.from({ length: PART / FRAME }, (_, frame) => frame).filter((frame) => !keep.has(frame));
  const blocks = frames.map((frame) => ({
    offset: frame * FRAME,
    bytes: NEW_IMAGE.subarray(frame * FRAME, (frame + 1) * FRAME),
  }));
  const target = world.partition(slot.root.offset, slot.root.size);
  await writeImage(target, iterate(blocks), { size: PART, kept: keep.size * FRAME });
}

/** What the next attempt does; returns how many frames it did not write again. */
async function resume(world: RecordingDisk): Promise<number> {
  const { slots, slot } = await slotsOf(world);
  await neutralise(slots.disk, slot, async () => world.disk);
  const target = world.partition(slot.root.offset, slot.root.size);
  const kept = await keepable(target, FRAME, PART, (frame, bytes) =>
    NEW_IMAGE.subarray(frame * FRAME, (frame + 1) * FRAME).equals(bytes),
  );
  await write(world, kept);
  const digest = createHash('sha256');
  await readBack(target, PART, (bytes) => void digest.update(bytes));
  assert.equal(digest.digest('hex'), NEW);
  await rename(world, NEW);
  return kept.size;
}

async function slotsOf(world: RecordingDisk): Promise<{ slots: Slots; slot: FreeSlot }> {
  const table = await readTable(world.disk, [512]);
  const slots = resolveSlots(
    { slots: { a: { root: 'root-a', verity: 'root-a-verity' }, b: { root: 'root-b', verity: 'root-b-verity' } } },
    {
      disk: { path: 'disk', guid: table.diskGuid, sectorSize: 512 },
      partitions: table.entries.map((entry) => ({ ...entry, path: 'disk' })),
      rootDevices: [],
      elsewhere: [],
    },
  );
  return { slots, slot: freeSlot(slots, 'a') };
}

async function namesOf(world: RecordingDisk): Promise<{ root: string; verity: string }> {
  const { slot } = await slotsOf(world);
  return { root: slot.root.uuid, verity: slot.verity?.uuid ?? '' };
}

const contentOf = (world: RecordingDisk): Buffer => Buffer.from(world.bytes(START + 2 * PART, PART));

function disk(): Uint8Array {
  const names = [uuidsOfRootHash('a'.repeat(64)), uuidsOfRootHash(OLD)].flatMap(({ root, verity }) => [root, verity]);
  const parts = LABELS.map((label, index) => ({
    label,
    offset: START + index * PART,
    size: PART,
    uuid: names[index] ?? '',
  }));
  const bytes = gptDisk(DISK_SIZE, 512, parts);
  bytes.set(OLD_IMAGE, START + 2 * PART);
  return bytes;
}

function damaged(offset: number): Uint8Array {
  const bytes = disk();
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  return bytes;
}

/** No byte is zero, so that zeros are known for what they are. */
function imageOf(version: number): Buffer {
  return Buffer.from(Array.from({ length: PART }, (_, index) => 1 + ((index * version * 7 + (index >> 8)) % 255)));
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function* iterate<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
