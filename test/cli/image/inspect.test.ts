/** `image inspect`: shows what `image build` made, and finds its way on disks that mean harm. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32 as crc } from 'node:zlib';
import fc from 'fast-check';
import { BLOCK, treeLayout } from '../../../src/bundle/verity.ts';
import { layOut, MIB } from '../../../src/cli/image/disk-layout.ts';
import { tableOf, writeTable } from '../../../src/cli/image/disk-table.ts';
import { imageInspect } from '../../../src/cli/image/inspect.ts';
import { asUpdateError } from '../../../src/errors.ts';
import type { Sha256 } from '../../../src/model.ts';
import { realExec } from '../../../src/system/process/exec.ts';
import { noSignal, someBytes, temporaryFolder } from '../../support/bundles.ts';
import { runCommand } from '../../support/command-line.ts';
import { build, demoBundle, type Inspected, inspected, loaderFile } from '../../support/disk-images.ts';
import { sh } from '../../support/loop-disk.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let parts: Readonly<Record<string, number>>;

before(async () => {
  folder = await temporaryFolder();
  await demoBundle(folder.path);
  const sizes = ['--esp-size', '34M', '--var-size', '32M'];
  await build(folder.path, ['demo.bundle', '-o', 'good.img', '--loader-file', loaderFile(folder.path), ...sizes]);
  parts = Object.fromEntries((await inspect('good.img')).partitions.map(({ label, offset }) => [label, offset]));
});
after(() => folder[Symbol.asyncDispose]());

const at = (name: string): string => join(folder.path, name);
const inspect = (disk: string, ...more: readonly string[]): Promise<Inspected> => inspected(folder.path, disk, ...more);

function write(name: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(at(name), 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

/** As people see it. */
const shown = (disk: string): Promise<string> =>
  runCommand(imageInspect, folder.path, [disk], { TMPDIR: folder.path, PATH: process.env['PATH'] ?? '' });

/** A copy, changed in one place. */
function copyOf(change: (name: string) => void): string {
  execFileSync('cp', ['--sparse=always', at('good.img'), at('bad.img')]);
  change('bad.img');
  return 'bad.img';
}

/** What there is to see, or the code of a reason. */
const outcome = (disk: string, ...more: readonly string[]): Promise<Inspected | string> =>
  inspect(disk, ...more).catch((error: unknown) => asUpdateError(error).code);

async function found(disk: string, ...more: readonly string[]): Promise<Inspected> {
  const seen = await outcome(disk, ...more);
  if (typeof seen === 'string') assert.fail(seen);
  return seen;
}

test('a disk that image build has made is shown whole: slots, entry, trust root and settings', async () => {
  const seen = await inspect('good.img', '--verify');
  assert.deepEqual(seen.faults, []);
  assert.deepEqual([seen.slots.a?.version, seen.slots.a?.check, seen.slots.b?.isNeutral], ['1.0', 'whole', true]);
  assert.deepEqual([seen.boot?.loader, seen.boot?.next], ['systemd-boot', 'a']);
  assert.deepEqual(
    seen.boot?.entries.map(({ file, slot, version }) => [file, slot, version]),
    [['demo_1.0.efi', 'a', '1.0']],
  );
  assert.deepEqual([seen.system?.product, seen.system?.repository], ['demo', 'https://updates.example/']);
  assert.equal(seen.system?.trustRoot?.path, '/usr/share/tandem/root.json');
  const text = await shown('good.img');
  assert.match(text, /^boot loader: systemd-boot, starts slot a$/m);
  assert.match(text, /belongs to this root hash/);
});

test('every table that image build can write is read as planned', async () => {
  const size = fc.integer({ min: 1, max: 2 ** 22 });
  const layouts = fc.record({ blocks: size, uki: fc.integer({ min: 1, max: 2 ** 28 }), hasVar: fc.boolean() });
  const identity = {
    manifest: 'ab'.repeat(32) as Sha256,
    rootHash: 'cd'.repeat(32) as Sha256,
    architecture: 'arm64',
  } as const;
  const labels = { a: { root: 'root-a', verity: 'root-a-verity' }, b: { root: 'root-b', verity: 'root-b-verity' } };
  const check = async ({ blocks, uki, hasVar }: { blocks: number; uki: number; hasVar: boolean }): Promise<void> => {
    const contents = { root: blocks * BLOCK, verity: treeLayout(blocks).size, uki, loader: 1 };
    const { layout, faults } = layOut(contents, { hasVar }, labels);
    assert.deepEqual(faults, []);
    writeFileSync(at('table.img'), '');
    truncateSync(at('table.img'), layout.size);
    const table = tableOf(layout, identity);
    await writeTable(at('table.img'), layout, table, { exec: realExec, signal: noSignal });
    const seen = await found('table.img');
    const row = ({ label, type, uuid, offset, size: length }: Inspected['partitions'][number]) => [
      label,
      type,
      uuid,
      offset,
      length,
    ];
    assert.deepEqual(seen.partitions.map(row), table.entries.map(row));
    assert.deepEqual([seen.slots.b?.isNeutral, seen.slots.a?.rootHash], [true, identity.rootHash]);
    assert.equal(seen.slots.a?.check, 'mismatch', 'nothing is in it');
  };
  await fc.assert(fc.asyncProperty(layouts, check), { numRuns: 6 });
});

test('one wrong byte in a slot is found by reading it, one in the top of the tree at once', async () => {
  const data = copyOf((name) => write(name, (parts['root-a'] ?? 0) + 5000, Uint8Array.of(0x55)));
  assert.equal((await found(data)).slots.a?.check, 'top');
  assert.equal((await found(data, '--verify')).slots.a?.check, 'mismatch');
  const top = copyOf((name) => write(name, (parts['root-a-verity'] ?? 0) + BLOCK + 7, Uint8Array.of(0x55)));
  assert.equal((await found(top)).slots.a?.check, 'mismatch');
});

test('tries that are left, an entry of no slot and a lost loader.conf are shown', async () => {
  const esp = `${at('bad.img')}@@${parts['esp']}`;
  const seen = await found(
    copyOf(() => {
      sh('mren', '-i', esp, '::/EFI/Linux/demo_1.0.efi', '::/EFI/Linux/demo_1.0+2-1.efi');
      writeFileSync(at('stray'), 'not a kernel');
      sh('mcopy', '-i', esp, at('stray'), '::/EFI/Linux/demo_0.9.efi');
      sh('mdel', '-i', esp, '::/loader/loader.conf');
    }),
  );
  assert.deepEqual(
    seen.boot?.entries.map(({ file, slot, left }) => [file, slot, left]),
    [
      ['demo_1.0+2-1.efi', 'a', 2],
      ['demo_0.9.efi', undefined, undefined],
    ],
  );
  assert.match(seen.faults.join('\n'), /demo_0\.9\.efi belongs to no slot/);
  assert.match(seen.faults.join('\n'), /loader\/loader\.conf does not exist/);
});

test('a first or second copy of the table that is damaged, and a disk that ends early, are named', async () => {
  const first = await found(copyOf((name) => write(name, 512, new Uint8Array(512))));
  assert.match(first.faults.join(), /first copy/);
  assert.equal(first.boot?.next, 'a');
  const second = await found(copyOf((name) => truncateSync(at(name), statSync(at('good.img')).size + MIB)));
  assert.deepEqual([second.boot?.next, second.faults], ['a', []], 'a disk that has grown is whole');
  const end = statSync(at('good.img')).size;
  const backup = await found(copyOf((name) => write(name, end - 512, new Uint8Array(512))));
  assert.match(backup.faults.join(), /second copy/);
  const cut = copyOf((name) => truncateSync(at(name), (parts['var'] ?? 0) + 5 * MIB));
  await assert.rejects(inspect(cut), { code: 'table-invalid', message: /is cut off/ });
});

test('partitions that overlap are named, and no two slots are read as one', async () => {
  const script =
    'label: gpt\nstart=2048, size=20480, name=root-a\nstart=22528, size=2048, name=root-a-verity\nstart=30000, size=2048, name=esp, type=uefi\n';
  writeFileSync(at('over.img'), '');
  truncateSync(at('over.img'), 64 * MIB);
  execFileSync('sfdisk', ['--quiet', at('over.img')], { input: script, stdio: ['pipe', 'ignore', 'pipe'] });
  moveSecond(at('over.img'));
  const seen = await found('over.img', '--verify');
  assert.match(seen.faults.join(), /partition 2 overlaps/);
  assert.equal(seen.slots.a?.check, 'mismatch');
});

/** Moves the first sector of the second partition into the first one, in both copies of the table. */
function moveSecond(path: string): void {
  execFileSync('sgdisk', ['--set-alignment=1', path], { stdio: 'ignore' });
  const bytes = readFileSync(path);
  const last = bytes.length - 512;
  for (const [header, entries] of [
    [512, 1024],
    [last, last - 32 * 512],
  ] as const) {
    bytes.writeBigUInt64LE(4096n, entries + 128 + 32);
    bytes.writeUInt32LE(crc(bytes.subarray(entries, entries + 128 * 128)), header + 88);
    bytes.writeUInt32LE(0, header + 16);
    bytes.writeUInt32LE(crc(bytes.subarray(header, header + 92)), header + 16);
  }
  writeFileSync(path, bytes);
}

test('four thousand entries, names with escapes and names that lead elsewhere are read in bounded time and place', async () => {
  const esp = `${at('bad.img')}@@${parts['esp']}`;
  const many = at('many');
  mkdirSync(many);
  // Names that need no second, short one: mtools would look for a free one for minutes.
  const names = Array.from({ length: 4000 }, (_, n) => join(many, `demo_${n.toString(36).padStart(3, '0')}.efi`));
  for (const name of names) writeFileSync(name, '');
  const hostile = { QZQZQ1: '\u001b[2J\u202eQ', QZQZQ2: '/../..' };
  const paths = Object.keys(hostile).map((name) => join(many, `demo_${name}.efi`));
  for (const path of paths) writeFileSync(path, 'x');
  const disk = copyOf((name) => {
    sh('mcopy', '-i', esp, ...paths, ...names, '::/EFI/Linux/');
    for (const [from, to] of Object.entries(hostile)) replaceName(name, from, to);
  });
  const seen = await found(disk);
  assert.equal(seen.boot?.next, 'a');
  assert.match(seen.faults.join(), /EFI\/Linux has 400\d files; 64 were read/);
  assert.deepEqual(
    readdirSync(folder.path).filter((one) => one.startsWith('.tandem-build')),
    [],
  );
  const text = await shown(disk);
  assert.match(text, /demo_\ufffd/);
  assert.ok(!text.includes('\u001b') && !text.includes('\u202e'));
});

/** Patches the second piece of a long name of FAT, which has six characters. */
function replaceName(disk: string, from: string, to: string): void {
  const place = readFileSync(at(disk)).indexOf(Buffer.from(from, 'utf16le'), parts['esp']);
  assert.ok(place > 0);
  write(disk, place, Buffer.from(to, 'utf16le'));
}

test('whatever a disk holds, there is an answer or a reason with a name', async () => {
  const places = [
    0,
    512,
    1024,
    parts['esp'] ?? 0,
    (parts['esp'] ?? 0) + 32 * 512,
    parts['root-a'] ?? 0,
    parts['root-a-verity'] ?? 0,
    parts['var'] ?? 0,
  ];
  const damage = fc.record({
    place: fc.constantFrom(...places),
    offset: fc.nat(2048),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
  });
  const check = async (changes: readonly { place: number; offset: number; bytes: Uint8Array }[]): Promise<void> => {
    const disk = copyOf((name) => {
      for (const { place, offset, bytes } of changes) write(name, place + offset, bytes);
    });
    const seen = await outcome(disk, '--verify');
    if (typeof seen === 'string') assert.equal(seen, 'table-invalid');
  };
  await fc.assert(fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 6 }), check), { numRuns: 8 });
});

test('noise, nothing, a folder, a pipe and a file that is not there are no disks', async () => {
  writeFileSync(at('noise.img'), someBytes(3 * MIB));
  writeFileSync(at('empty.img'), '');
  writeFileSync(at('short.qcow2'), Buffer.from('QFI\xfb\0\0\0\x03garbage', 'latin1'));
  sh('mkfifo', at('pipe'));
  for (const [name, code] of [
    ['noise.img', 'table-invalid'],
    ['empty.img', 'table-invalid'],
    ['short.qcow2', 'tool-failed'],
    ['.', 'file-unsuitable'],
    ['pipe', 'file-unsuitable'],
    ['gone.img', 'file-absent'],
  ] as const)
    assert.equal(await outcome(name), code, name);
});

test('a qcow2 image that names other files is not opened', async () => {
  sh('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', at('good.img'), at('over.qcow2'));
  sh('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', `data_file=${at('data.raw')}`, at('split.qcow2'), '64M');
  for (const name of ['over.qcow2', 'split.qcow2']) assert.equal(await outcome(name), 'file-unsuitable', name);
});

test('/var of a machine that lost its power is shown as far as it was written', async () => {
  const place = (parts['var'] ?? 0) + 1024 + 0x60;
  const features = readFileSync(at('good.img')).readUInt8(place);
  const seen = await found(copyOf((name) => write(name, place, Uint8Array.of(features | 4))));
  assert.equal(seen.system?.isVarReadable, true);
});

test('a qcow2 image is inspected like the disk in it', async () => {
  sh('qemu-img', 'convert', '-q', '-f', 'raw', '-O', 'qcow2', at('good.img'), at('good.qcow2'));
  const seen = await found('good.qcow2');
  assert.deepEqual([seen.boot?.next, seen.slots.a?.version, seen.faults], ['a', '1.0', []]);
});
