/** The layout of a new disk: for any sizes, partitions that fit, and reasons where they do not. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK, treeLayout } from '../../../src/bundle/verity.ts';
import { type DiskLayout, layOut, MIB } from '../../../src/cli/image/disk-layout.ts';
import { checkTable, tableOf, writeTable } from '../../../src/cli/image/disk-table.ts';
import type { Sha256 } from '../../../src/model.ts';
import { neutralUuid, uuidsOfRootHash } from '../../../src/partitions/uuids.ts';
import { openBlockTarget } from '../../../src/system/disk/block-device.ts';
import { realExec } from '../../../src/system/process/exec.ts';
import { noSignal, temporaryFolder } from '../../support/bundles.ts';

const LABELS = {
  a: { root: 'root-a', verity: 'root-a-verity' },
  b: { root: 'root-b', verity: 'root-b-verity' },
};
const IDENTITY = {
  manifest: 'ab'.repeat(32) as Sha256,
  rootHash: ('0123456789abcdef'.repeat(2) + 'fedcba9876543210'.repeat(2)) as Sha256,
  architecture: 'x86-64',
} as const;

const blocks = fc.integer({ min: 1, max: 64 * 2 ** 18 });
const size = fc.oneof(fc.integer({ min: 1, max: 2 ** 40 }), fc.integer({ min: 1, max: 2 ** 50 }));
const optionalSize = fc.option(size, { nil: undefined });
const contents = fc
  .record({
    root: blocks,
    isAppended: fc.boolean(),
    uki: fc.integer({ min: 1, max: 2 ** 32 }),
    loader: fc.nat(10 ** 7),
  })
  .map(({ root, isAppended, uki, loader }) => ({
    root: root * BLOCK,
    ...(isAppended ? {} : { verity: treeLayout(root).size }),
    uki,
    loader,
  }));
const given = fc.record({
  esp: optionalSize,
  root: optionalSize,
  verity: optionalSize,
  var: optionalSize,
  hasVar: fc.boolean(),
});
const sectors = fc.constantFrom(512, 4096);

function assertSound({ parts, size: whole }: DiskLayout): void {
  let end = MIB;
  for (const part of parts) {
    assert.ok(part.size > 0 && part.size % MIB === 0 && part.offset % MIB === 0, JSON.stringify(part));
    assert.ok(part.offset >= end, `${part.label} overlaps`);
    end = part.offset + part.size;
  }
  assert.equal(whole, end + MIB, 'the second copy of the table has a mebibyte of its own');
}

test('partitions never overlap, are aligned, and are within the disk, whatever the sizes', () => {
  fc.assert(
    fc.property(contents, given, sectors, (holds, sizes, sector) => {
      const { layout } = layOut(holds, sizes, LABELS, sector);
      assertSound(layout);
      assert.equal(layout.parts.length, 1 + (holds.verity === undefined ? 2 : 4) + (sizes.hasVar ? 1 : 0));
    }),
  );
});

test('sizes by rule always fit, and a layout without faults holds everything', () => {
  const usual = { hasVar: true };
  fc.assert(
    fc.property(contents, given, sectors, (holds, sizes, sector) => {
      if (holds.uki < 2 ** 31) assert.deepEqual(layOut(holds, usual, LABELS, sector).faults, []);
      const { layout, faults } = layOut(holds, sizes, LABELS, sector);
      const sizeOf = (label: string): number => layout.parts.find((part) => part.label === label)?.size ?? 0;
      const fits =
        sizeOf('root-b') >= holds.root &&
        (holds.verity === undefined || sizeOf('root-b-verity') >= holds.verity) &&
        sizeOf('esp') >= 2 * holds.uki + holds.loader;
      if (faults.length === 0) assert.ok(fits);
      if (!fits) assert.notEqual(faults.length, 0);
    }),
  );
});

test('every size that does not fit is named', () => {
  const holds = { root: 100 * MIB, verity: 2 * MIB, uki: 40 * MIB, loader: 100_000 };
  const sizes = { esp: 50 * MIB, root: 99 * MIB, verity: MIB, var: 8 * MIB, hasVar: true };
  const { faults } = layOut(holds, sizes, LABELS);
  assert.equal(faults.length, 4);
  for (const option of ['--esp-size', '--root-size', '--verity-size', '--var-size'])
    assert.ok(
      faults.some((fault) => fault.startsWith(option)),
      option,
    );
});

test('labels that the agent could not tell apart, or sfdisk would misread, are refused', () => {
  const holds = { root: MIB, verity: 8192, uki: MIB, loader: 1 };
  const faultsFor = (root: string): readonly string[] =>
    layOut(holds, { hasVar: true }, { ...LABELS, a: { root, verity: 'tree' } }).faults;
  assert.match(faultsFor('var').join(), /two partitions would be labelled “var”/);
  assert.match(faultsFor('a"b').join(), /cannot be a label/);
  assert.deepEqual(faultsFor('with space'), []);
});

test('sfdisk writes each layout as planned, and sfdisk and sgdisk agree with it', async () => {
  await using folder = await temporaryFolder();
  const cases = [
    { holds: { root: BLOCK, verity: BLOCK, uki: 1, loader: 1 }, sizes: { hasVar: false }, labels: LABELS },
    { holds: { root: 300 * MIB, uki: 40 * MIB, loader: 1 }, sizes: { hasVar: true }, labels: LABELS },
    {
      holds: { root: 64 * 2 ** 30, verity: 600 * MIB, uki: 2 ** 31, loader: 1 },
      sizes: { hasVar: true, var: 2 ** 41 },
      labels: { ...LABELS, a: { root: 'a, type=linux', verity: 'x=y #1' } },
    },
  ];
  for (const [index, { holds, sizes, labels }] of cases.entries()) {
    const { layout, faults } = layOut(holds, sizes, labels);
    assert.deepEqual(faults, []);
    const path = join(folder.path, `${index}.img`);
    writeFileSync(path, '');
    truncateSync(path, layout.size);
    const table = tableOf(layout, IDENTITY);
    await writeTable(path, layout, table, { exec: realExec, signal: noSignal });
    await using disk = await openBlockTarget(path, { writable: false, exclusive: false, range: { offset: 0 } });
    await checkTable(disk, layout, table);
    assert.match(execFileSync('sfdisk', ['--verify', path], { encoding: 'utf8' }), /No errors detected/);
    assert.match(execFileSync('sgdisk', ['--verify', path], { encoding: 'utf8' }), /No problems found/);
  }
});

test('slot a has the UUIDs of the root hash, slot b those of a slot that the agent has made neutral', () => {
  const { layout } = layOut({ root: MIB, verity: 16_384, uki: MIB, loader: 1 }, { hasVar: true }, LABELS);
  const { guid, entries } = tableOf(layout, IDENTITY);
  const uuids = Object.fromEntries(entries.map(({ label, uuid }) => [label, uuid]));
  const { root, verity } = uuidsOfRootHash(IDENTITY.rootHash);
  assert.deepEqual([uuids['root-a'], uuids['root-a-verity']], [root, verity]);
  for (const label of ['root-b', 'root-b-verity']) assert.equal(uuids[label], neutralUuid(guid, label));
  assert.equal(new Set([guid, ...Object.values(uuids)]).size, 7);
  const other = tableOf(layout, { ...IDENTITY, manifest: 'cd'.repeat(32) as Sha256 });
  assert.notEqual(other.guid, guid);
});
