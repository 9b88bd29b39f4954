/** What doctor says of a partition table that a boot loader keeps its flags in. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import { tableSettings } from '../../../src/cli/doctor/gpt.ts';
import { resolveConfig } from '../../../src/config/config.ts';
import { readDiskFacts } from '../../../src/partitions/disk-facts.ts';
import { setAttributes } from '../../../src/partitions/slot-identity.ts';

const MIB = 1024 * 1024;
const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';
const FLATCAR = '5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6';

/** A disk as sfdisk makes it, with the root partitions of these types, and damage done to it. */
async function judge(
  types: Readonly<{ a: string; b: string }>,
  damage: (disk: Buffer) => void = () => {},
  then: (disk: string) => Promise<void> = async () => {},
): Promise<Finding> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-table-'));
  const disk = join(dir, 'disk.img');
  await writeFile(disk, '');
  await truncate(disk, 8 * MIB);
  const parts = [`type=${types.a}, name="root-a"`, 'name="root-a-verity"', `type=${types.b}, name="root-b"`];
  const input = ['label: gpt', ...[...parts, 'name="root-b-verity"'].map((part) => `size=1MiB, ${part}`), ''].join(
    '\n',
  );
  execFileSync('sfdisk', ['--quiet', disk], { input, stdio: ['pipe', 'ignore', 'pipe'] });
  const bytes = await readFile(disk);
  damage(bytes);
  await writeFile(disk, bytes);
  await then(disk);
  const found = await tableSettings(resolveConfig([{ path: 'test', text: `slots.disk = "${disk}"\n` }]));
  await rm(dir, { recursive: true });
  return { ...found, sentence: found.sentence.replaceAll(disk, 'DISK') };
}

const SAME = { a: LINUX, b: LINUX };
const spoil = (disk: Buffer, offset: number): void => void disk.writeUInt8((disk[offset] ?? 0) ^ 1, offset);
const ENTRIES = 1024;
const backupEntries = (disk: Buffer): number => disk.length - 33 * 512;

test('two whole copies are right, and the type of the root partitions is told', async () => {
  assert.deepEqual(await judge({ a: FLATCAR, b: FLATCAR }), {
    result: 'ok',
    sentence: `Both copies of the partition table on DISK are intact; the root partitions have the type ${FLATCAR}.`,
  });
});

test('a copy that is damaged is told, whichever it is', async () => {
  for (const offset of [512 + 16, ENTRIES + 60]) {
    const { result, sentence, next } = await judge(SAME, (disk) => spoil(disk, offset));
    assert.deepEqual([result, sentence], ['warn', 'The first copy of the partition table on DISK is damaged.']);
    assert.match(next ?? '', /next update/);
  }
  for (const at of [(disk: Buffer) => disk.length - 512, (disk: Buffer) => backupEntries(disk) + 60]) {
    const { result, sentence } = await judge(SAME, (disk) => spoil(disk, at(disk)));
    assert.deepEqual([result, sentence], ['warn', 'The backup of the partition table on DISK is damaged.']);
  }
});

test('two whole copies that say different things are told', async () => {
  let before = Buffer.alloc(0);
  const remember = (disk: Buffer): void => {
    before = Buffer.from(disk);
  };
  const { result, sentence } = await judge(SAME, remember, async (disk) => {
    await flag(disk);
    const after = await readFile(disk);
    before.copy(after, backupEntries(after), backupEntries(after));
    await writeFile(disk, after);
  });
  assert.deepEqual([result, sentence], ['warn', 'The two copies of the partition table on DISK differ.']);
});

test('the next change of the flags makes a damaged copy anew, as it is told', async () => {
  for (const offset of [512 + 16, 8 * MIB - 512])
    assert.equal((await judge(SAME, (disk) => spoil(disk, offset), flag)).result, 'ok');
});

test('root partitions of two types are told, since boot loaders look at one', async () => {
  const { result, sentence, next } = await judge({ a: LINUX, b: FLATCAR });
  assert.deepEqual([result, sentence.includes(LINUX), sentence.includes(FLATCAR)], ['warn', true, true]);
  assert.ok(next);
});

/** What arming a slot does to the table. */
async function flag(disk: string): Promise<void> {
  const facts = await readDiskFacts(disk);
  const [root] = facts.partitions;
  assert.ok(root);
  await setAttributes(facts.disk, [[root, 1n << 48n]]);
}
