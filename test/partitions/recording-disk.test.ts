/** The crash model itself: what it loses, and what it never does. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replaceFile } from '../../src/system/files.ts';
import { Overlap } from '../support/in-turn.ts';
import { PowerCut, RecordingDisk } from '../support/recording-disk.ts';

const text = (value: string): Uint8Array => Buffer.from(value);
const seeds = Array.from({ length: 200 }, (_, seed) => seed);
const fileIn = async (world: RecordingDisk, path: string): Promise<string | undefined> => {
  const bytes = await world.files.read(path);
  return bytes && Buffer.from(bytes).toString();
};
const outcomes = async <T>(world: RecordingDisk, of: (cut: RecordingDisk) => Promise<T>): Promise<Set<T>> =>
  new Set(await Promise.all(seeds.map((seed) => of(world.crashAt(world.log.length, seed)))));

test('a file that was not synced may be whole, empty, cut short, full of zeros or absent', async () => {
  const world = new RecordingDisk();
  await world.files.write('/a', [text('content')]);
  const seen = await outcomes(world, (cut) => fileIn(cut, '/a'));
  for (const outcome of ['content', '', 'cont', '\0'.repeat(7), undefined])
    assert.ok(seen.has(outcome), String(outcome));
});

test('a synced file in a synced folder stays, whatever is done to others', async () => {
  const world = new RecordingDisk();
  await replaceFile(world.files, '/a', text('content'));
  await world.files.write('/b', [text('other')]);
  assert.deepEqual(await outcomes(world, (cut) => fileIn(cut, '/a')), new Set(['content']));
});

test('renames in an un-synced folder are lost one by one', async () => {
  const files = new Map([
    ['/a', text('1')],
    ['/b', text('2')],
  ]);
  const world = new RecordingDisk({ files });
  await world.files.rename('/a', '/c');
  await world.files.rename('/b', '/d');
  const seen = await outcomes(world, async (cut) => (await cut.files.list('/')).join());
  assert.deepEqual(seen, new Set(['a,b', 'a,d', 'b,c', 'c,d']));
});

test('blocks that were not flushed are lost in any combination, one of them torn, and flushed ones stay', async () => {
  const world = new RecordingDisk({ disk: new Uint8Array(4 * 4096) });
  await world.disk.write(0, new Uint8Array(4096).fill(1));
  await world.disk.flush();
  for (const block of [1, 2, 3]) await world.disk.write(block * 4096, new Uint8Array(4096).fill(1));
  const state = (bytes: Uint8Array) =>
    bytes.every((byte) => byte === 1) ? 'x' : bytes.some((byte) => byte === 1) ? '?' : '.';
  const seen = await outcomes(world, async (cut) =>
    [0, 1, 2, 3].map((block) => state(cut.bytes(block * 4096, 4096))).join(''),
  );
  for (const outcome of ['xxxx', 'xx.x', 'x..x', 'x...']) assert.ok(seen.has(outcome), outcome);
  assert.ok([...seen].every((each) => each[0] === 'x' && each.split('?').length <= 2));
  assert.ok([...seen].some((each) => each.includes('?')));
});

test('the same seed loses the same, and without a seed nothing is lost', async () => {
  const world = new RecordingDisk({ disk: new Uint8Array(8192) });
  await world.partition(4096, 4096).write(0, new Uint8Array(4096).fill(7));
  await world.files.write('/a', [text('content')]);
  for (const seed of seeds.slice(0, 20))
    assert.deepEqual(world.crashAt(3, seed).bytes(), world.crashAt(3, seed).bytes());
  assert.equal(world.crashAt(3).bytes()[4096], 7);
  assert.equal(await fileIn(world.crashAt(3), '/a'), 'content');
  assert.equal(await fileIn(world.crashAt(2), '/a'), '');
});

test('a dropped sync does nothing, and power can fail at a chosen operation', async () => {
  const world = new RecordingDisk({ disk: new Uint8Array(4096), dropSync: 0 });
  await world.disk.write(0, new Uint8Array(512).fill(1));
  await world.disk.flush();
  assert.equal((await outcomes(world, async (cut) => cut.bytes(0, 1)[0])).size, 2);
  const cut = new RecordingDisk({ disk: new Uint8Array(4096), cutAt: 1 });
  await cut.disk.write(0, new Uint8Array(512).fill(1));
  await assert.rejects(cut.disk.flush(), PowerCut);
  await assert.rejects(cut.files.write('/a', []), PowerCut);
  assert.equal(cut.log.length, 1);
});

/** Each leaves something undone behind its back. */
const HASTY: Readonly<Record<string, (world: RecordingDisk) => Promise<unknown>>> = {
  'the last sync': async ({ files }) => {
    await files.write('/a', [text('content')]);
    void files.syncFile('/a');
  },
  'a flush before a file is written': async ({ disk, files }) => {
    await disk.write(0, new Uint8Array(512));
    void disk.flush();
    await files.write('/a', []);
  },
  'a write before the flush': async ({ disk }) => {
    void disk.write(0, new Uint8Array(512));
    await disk.flush();
  },
  'a rename before the sync of its folder, whose failure nobody hears': async ({ files }) => {
    await files.write('/a', []);
    void files.rename('/a', '/b');
    await files.syncDir('/').catch(() => undefined);
    await files.read('/b');
  },
  'a sync before what was synced is read back': async ({ files }) => {
    await files.write('/a', []);
    void files.syncFile('/a');
    await files.read('/a').catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 10));
  },
  'two writes to one place': ({ disk }) =>
    Promise.all([disk.write(0, new Uint8Array(512)), disk.write(511, new Uint8Array(2))]),
};

for (const [what, deed] of Object.entries(HASTY))
  test(`nothing can be said of storage where nobody has waited for ${what}`, async () => {
    const world = new RecordingDisk({ disk: new Uint8Array(4096) });
    await deed(world).catch(() => undefined);
    assert.throws(() => world.log, Overlap);
    assert.throws(() => world.syncs, Overlap);
    assert.throws(() => world.bytes(), Overlap);
    assert.throws(() => world.crashAt(0), Overlap);
  });

test('writes to several places may be under way at once, and nothing is done before it has ended', async () => {
  const world = new RecordingDisk({ disk: new Uint8Array(4096) });
  const writes = [0, 512].map((at) => world.disk.write(at, new Uint8Array(512).fill(1)));
  assert.deepEqual(await world.disk.read(0, 1024), new Uint8Array(1024));
  await Promise.all(writes);
  assert.equal(world.log.length, 2);
  assert.deepEqual(world.bytes(0, 1024), new Uint8Array(1024).fill(1));
});
