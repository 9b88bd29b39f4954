/** `image build --to`: a real disk, larger than the image, is overwritten whole; a disk in use never is. Needs root. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { chosenDisk } from '../../../src/cli/image/target-disk.ts';
import { asUpdateError } from '../../../src/errors.ts';
import { temporaryFolder } from '../../support/bundles.ts';
import { build, demoBundle, inspected, loaderFile } from '../../support/disk-images.ts';
import { MIB, sh } from '../../support/loop-disk.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');
const SIZES = ['--esp-size', '34M', '--var-size', '32M'];

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let options: string[];

before(async () => {
  folder = await temporaryFolder();
  await demoBundle(folder.path);
  options = ['demo.bundle', '--loader-file', loaderFile(folder.path)];
});
after(() => folder[Symbol.asyncDispose]());

type Loop = Disposable & Readonly<{ path: string }>;

const OLD = Buffer.alloc(MIB, 'old\n');

/** A disk with what an earlier owner left, on an eighth of it. */
function loop(name: string, size: number, sectorSize = 512): Loop {
  const image = join(folder.path, name);
  writeFileSync(image, '');
  truncateSync(image, size);
  for (let offset = 0; offset < size; offset += 8 * MIB) writeAt(image, offset, OLD);
  const path = sh('losetup', '--find', '--show', '--sector-size', String(sectorSize), image).trim();
  const release = (): void => {
    spawnSync('partx', ['--delete', path]);
    sh('losetup', '--detach', path);
  };
  return { path, [Symbol.dispose]: release };
}

function writeAt(path: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

/** A node for a partition: those in /dev may come a little later. */
function nodeOf(disk: Loop, number: number): string {
  const name = `${basename(disk.path)}p${number}`;
  const path = join(folder.path, name);
  rmSync(path, { force: true });
  sh('mknod', path, 'b', ...readFileSync(`/sys/class/block/${name}/dev`, 'utf8').trim().split(':'));
  return path;
}

const to = (disk: string, ...more: readonly string[]): Promise<string> =>
  build(folder.path, [...options, '--to', disk, ...SIZES, ...more]);

const refusal = (attempt: Promise<unknown>): Promise<Readonly<{ code: string; message: string }>> =>
  attempt.then(() => assert.fail('it was not refused'), asUpdateError);

test('a larger disk gets every byte of an image, its second table at its end, and partitions that the kernel shows', async () => {
  using disk = loop('large.raw', 256 * MIB);
  const said = await to(disk.path, '--yes');
  assert.match(said, /Everything on \/dev\/loop\d+ will be lost/);
  const seen = await inspected(folder.path, disk.path, '--verify');
  assert.deepEqual(seen.faults, []);
  assert.deepEqual([seen.size, seen.boot?.next, seen.slots.a?.check], [256 * MIB, 'a', 'whole']);
  assert.match(sh('sgdisk', '--verify', disk.path), /No problems found/);
  assert.match(sh('lsblk', '--noheadings', '--output', 'NAME', disk.path), /p6/);
  const offsetOf = (label: string): number => seen.partitions.find((one) => one.label === label)?.offset ?? 0;
  sh('e2fsck', '-fn', `${disk.path}?offset=${offsetOf('var')}`);
  await build(folder.path, [...options, '-o', 'same.img', ...SIZES]);
  const [image, whole] = [readFileSync(join(folder.path, 'same.img')), readFileSync(disk.path)];
  for (const label of ['esp', 'root-a', 'root-a-verity']) {
    const { offset = 0, size = 0 } = seen.partitions.find((one) => one.label === label) ?? {};
    const used = label === 'esp' ? size : 4096;
    assert.ok(whole.subarray(offset, offset + used).equals(image.subarray(offset, offset + used)), label);
  }
});

test('whatever interrupts the writing, the disk has no partition table afterwards, neither first nor second copy', async () => {
  // The last sector is in no whole page.
  using disk = loop('odd.raw', 256 * MIB + 512);
  execFileSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', disk.path], {
    input: 'label: gpt\nsize=8MiB, name=old\n',
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  assert.equal((await inspected(folder.path, disk.path)).partitions[0]?.label, 'old');
  const bundle = readFileSync(join(folder.path, 'demo.bundle'));
  bundle.writeUInt8(bundle.readUInt8(bundle.length - 4096) ^ 1, bundle.length - 4096);
  writeFileSync(join(folder.path, 'broken.bundle'), bundle);
  const args = ['broken.bundle', ...options.slice(1), '--to', disk.path, '--yes', ...SIZES];
  assert.match((await refusal(build(folder.path, args))).code, /^(frame-mismatch|bundle-padding|bundle-entry)$/);
  assert.equal(
    await inspected(folder.path, disk.path).catch((error: unknown) => asUpdateError(error).code),
    'table-invalid',
  );
  await to(disk.path, '--yes');
  const seen = await inspected(folder.path, disk.path);
  assert.deepEqual([seen.faults, seen.boot?.next], [[], 'a']);
  const free = seen.partitions.find(({ label }) => label === 'root-b')?.offset ?? 0;
  assert.ok(
    readFileSync(disk.path)
      .subarray(free, free + MIB)
      .every((byte) => byte === 0),
    'no old signature in slot b',
  );
});

test('a disk with sectors of 4096 bytes gets a FAT that fits them', async () => {
  using disk = loop('sectors.raw', 384 * MIB, 4096);
  const { code, message } = await refusal(to(disk.path, '--yes'));
  assert.equal(code, 'image-input');
  assert.match(message, /FAT32 needs/);
  await build(folder.path, [...options, '--to', disk.path, '--yes', '--esp-size', '260M', '--var-size', '32M']);
  const seen = await inspected(folder.path, disk.path);
  assert.deepEqual([seen.sectorSize, seen.boot?.next, seen.faults], [4096, 'a', []]);
  sh('fsck.fat', '-n', nodeOf(disk, 1));
});

test('a disk that is too small, a partition, a file and nothing are refused, and stay as they are', async () => {
  using disk = loop('small.raw', 64 * MIB);
  const { code, message } = await refusal(to(disk.path, '--yes'));
  assert.deepEqual([code, /are needed/.test(message)], ['image-input', true]);
  assert.match(readFileSync(disk.path).subarray(0, 8).toString(), /^old\nold\n$/);
  assert.equal((await refusal(to('/dev/null', '--yes'))).code, 'disk-refused');
  assert.equal((await refusal(to('demo.bundle', '--yes'))).code, 'disk-refused');
  assert.equal((await refusal(to('/dev/gone', '--yes'))).code, 'disk-refused');
});

test('a disk with a mounted partition, and a partition, are refused', async () => {
  using disk = loop('used.raw', 256 * MIB);
  await to(disk.path, '--yes');
  const place = join(folder.path, 'mounted');
  mkdirSync(place);
  sh('mount', nodeOf(disk, 6), place);
  try {
    const { code, message } = await refusal(to(disk.path, '--yes'));
    assert.deepEqual([code, message.includes(`${disk.path}p6 is mounted on ${place}`)], ['disk-refused', true]);
  } finally {
    sh('umount', place);
  }
  assert.match((await refusal(to(nodeOf(disk, 6), '--yes'))).message, /is a partition/);
});

test('what lsblk shows to be in use is refused by its name: layers, swap, a read-only disk, and disks of other kinds', async () => {
  using disk = loop('layers.raw', 64 * MIB);
  const node = {
    path: disk.path,
    type: 'loop',
    size: 1,
    ro: false,
    model: null,
    fstype: null,
    label: null,
    partlabel: null,
  };
  const seenAs = (more: object): Promise<string> => {
    const stdout = JSON.stringify({ blockdevices: [{ ...node, mountpoints: [null], ...more }] });
    const exec = async () => ({ exitCode: 0, stdout, stderr: '', timedOut: false });
    return chosenDisk({ exec, env: () => undefined }, disk.path).then(
      () => 'taken',
      (error: unknown) => asUpdateError(error).message,
    );
  };
  const child = { ...node, path: '/dev/loop9p1', type: 'part', mountpoints: [null] };
  const secret = { ...child, path: '/dev/mapper/\u001b[2J', type: 'crypt' };
  assert.equal(await seenAs({}), 'taken');
  assert.equal(await seenAs({ type: 'raid1' }), 'taken');
  assert.equal(await seenAs({ children: [child] }), 'taken');
  assert.match(await seenAs({ children: [{ ...child, children: [secret] }] }), /\(crypt\) is made of it/);
  assert.match(await seenAs({ children: [{ ...child, mountpoints: ['[SWAP]'] }] }), /loop9p1 is mounted on \[SWAP\]/);
  assert.match(await seenAs({ ro: true }), /is read-only/);
  for (const type of ['rom', 'lvm', 'crypt', 'mpath']) assert.match(await seenAs({ type }), /is not a whole disk/);
});

test('without a terminal nobody can agree, and a wrong answer is none', async () => {
  using disk = loop('asked.raw', 256 * MIB);
  const args = [MAIN, 'image', 'build', ...options, '--to', disk.path, ...SIZES];
  const name = disk.path.slice('/dev/'.length);
  const run = { cwd: folder.path, encoding: 'utf8' } as const;
  const silent = spawnSync('setsid', ['--wait', process.execPath, ...args], run);
  assert.match(silent.stderr, /there is no terminal.*\[disk-refused\]/s);
  const answered = (answer: string): string => {
    const command = [process.execPath, ...args].map((word) => `'${word}'`).join(' ');
    return spawnSync('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      ...run,
      input: `${answer}\n`,
    }).stdout;
  };
  assert.match(answered('yes'), /stays as it is/);
  assert.match(readFileSync(disk.path).subarray(0, 8).toString(), /^old\nold\n$/);
  assert.match(answered(name), /: ready\./);
});

test('with the example for systemd-repart, /var grows with the disk or is made at first, and the slots stay', async () => {
  const definitions = join(import.meta.dirname, '../../../examples/repart.d');
  const repart = (image: string): void =>
    void sh(
      'systemd-repart',
      `--definitions=${definitions}`,
      '--dry-run=no',
      '--empty=refuse',
      join(folder.path, image),
    );
  const sizes = ['--esp-size', '34M'];
  await build(folder.path, [...options, '-o', 'grows.img', ...sizes, '--var-size', '300M']);
  await build(folder.path, [...options, '-o', 'made.img', ...sizes, '--var', 'none']);
  for (const image of ['grows.img', 'made.img']) {
    const before = await inspected(folder.path, image);
    truncateSync(join(folder.path, image), before.size + 600 * MIB);
    repart(image);
    const seen = await inspected(folder.path, image, '--verify');
    const [place] = seen.partitions.filter(({ label }) => label === 'var');
    assert.ok(place && place.offset + place.size > seen.size - 2 * MIB, image);
    const slots = ({ partitions }: typeof seen) => partitions.filter(({ label }) => label !== 'var');
    assert.deepEqual(slots(seen), slots(before));
    assert.deepEqual(
      [seen.boot?.next, seen.slots.a?.check, seen.system?.product, seen.faults],
      ['a', 'whole', 'demo', []],
    );
  }
});
