/** `image build`: a disk that other tools agree with, the same bytes each time, or a reason and no file. */

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { partitionType } from '../../../src/cli/image/partition-types.ts';
import { missingTools } from '../../../src/cli/image/tools.ts';
import { repoAdd } from '../../../src/cli/publish/repo-add.ts';
import { repoInit } from '../../../src/cli/publish/repo-init.ts';
import { asUpdateError } from '../../../src/errors.ts';
import { readVariables } from '../../../src/reboot/bootloaders/grub-environment.ts';
import { makeBundle, temporaryFolder } from '../../support/bundles.ts';
import { runCommand } from '../../support/command-line.ts';
import {
  appendedBundle,
  build,
  demoBundle,
  EPOCH,
  inspected,
  loaderFile,
  rootImage,
  TREE,
} from '../../support/disk-images.ts';
import { sh } from '../../support/loop-disk.ts';
import { demoUki } from '../../support/uki.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');
const SMALL = ['--esp-size', '34M', '--var-size', '32M'];

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let loader: string[];

before(async () => {
  folder = await temporaryFolder();
  await demoBundle(folder.path);
  loader = ['--loader-file', loaderFile(folder.path)];
  await demo('disk.img');
});
after(() => folder[Symbol.asyncDispose]());

const at = (name: string): string => join(folder.path, name);
const demo = (output: string, ...more: readonly string[]): Promise<string> =>
  build(folder.path, ['demo.bundle', '-o', output, ...loader, ...SMALL, ...more]);

type Entry = Readonly<{ name: string; type: string; uuid: string; start: number; size: number }>;
const entriesOf = (disk: string): Entry[] =>
  (JSON.parse(sh('sfdisk', '--json', disk)) as { partitiontable: { partitions: Entry[] } }).partitiontable.partitions;

function extract(disk: string, label: string): string {
  const entry = entriesOf(disk).find(({ name }) => name === label);
  assert.ok(entry, label);
  const path = at(`part-${label}`);
  const range = [`skip=${entry.start}`, `count=${entry.size}`];
  execFileSync('dd', [`if=${disk}`, `of=${path}`, 'bs=512', ...range, 'status=none']);
  return path;
}

const refusal = async (attempt: Promise<unknown>): Promise<Readonly<{ code: string; message: string }>> =>
  attempt.then(
    () => assert.fail('it was not refused'),
    (error: unknown) => asUpdateError(error),
  );

const leftovers = (dir = folder.path): string[] => readdirSync(dir).filter((name) => name.startsWith('.tandem-build-'));

test('sfdisk, sgdisk, veritysetup, fsck.fat and e2fsck agree with a disk for systemd-boot', async () => {
  const disk = at('disk.img');
  assert.match(sh('sfdisk', '--verify', disk), /No errors detected/);
  assert.match(sh('sgdisk', '--verify', disk), /No problems found/);
  const entries = entriesOf(disk);
  const labels = ['esp', 'root-a', 'root-a-verity', 'root-b', 'root-b-verity', 'var'];
  assert.deepEqual(
    entries.map(({ name }) => name),
    labels,
  );
  const kinds = ['esp', 'root', 'verity', 'root', 'verity', 'var'] as const;
  for (const [index, kind] of kinds.entries())
    assert.equal(entries[index]?.type.toLowerCase(), partitionType(kind, 'x86-64'));
  const rootHash = [1, 2].map((index) => entries[index]?.uuid.replaceAll('-', '').toLowerCase()).join('');
  sh('veritysetup', 'verify', extract(disk, 'root-a'), extract(disk, 'root-a-verity'), rootHash);
  sh('fsck.fat', '-n', extract(disk, 'esp'));
  sh('e2fsck', '-fn', extract(disk, 'var'));
  assert.ok(
    readFileSync(extract(disk, 'root-b')).every((byte) => byte === 0),
    'slot b is empty',
  );
  assert.equal(statSync(disk).mode & 0o777, 0o666 & ~process.umask());
  assert.ok(statSync(disk).blocks * 512 < statSync(disk).size / 4, 'it is sparse');
  assert.deepEqual(leftovers(), []);
});

test('the ESP has what systemd-boot needs: its program, the entry that the agent would confirm, and no menu', async () => {
  const esp = extract(at('disk.img'), 'esp');
  const names = sh('mdir', '-/', '-b', '-i', esp, '::')
    .split('\n')
    .filter((line) => !line.endsWith('/') && line !== '');
  assert.deepEqual(names.sort(), [
    '::/EFI/BOOT/BOOTX64.EFI',
    '::/EFI/Linux/demo_1.0.efi',
    '::/EFI/systemd/systemd-bootx64.efi',
    '::/loader/loader.conf',
  ]);
  assert.equal(sh('mtype', '-i', esp, '::/loader/loader.conf'), 'timeout 0\neditor no\ndefault demo_*\n');
  mkdirSync(at('esp.d'));
  sh('mcopy', '-s', '-i', esp, '::/EFI', '::/loader', at('esp.d'));
  const env = { ...process.env, SYSTEMD_RELAX_ESP_CHECKS: '1' };
  const { stdout } = spawnSync('bootctl', [`--esp-path=${at('esp.d')}`, 'status'], { env, encoding: 'utf8' });
  assert.match(stdout, /Default Boot Loader Entry:[\s\S]*id: demo_1\.0\.efi/);
});

test('the same bytes twice: on another day, with another umask, time zone and user, and for another name', async () => {
  mkdirSync(at('of nobody [?@@1M'), { mode: 0o777 });
  execFileSync('chmod', ['711', folder.path]);
  execFileSync('chmod', ['777', at('of nobody [?@@1M')]);
  const args = ['image', 'build', at('demo.bundle'), '-o', 'other.qcow', ...loader, ...SMALL];
  // The project may be in a folder of root's.
  const reading = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
  const asNobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', ...reading];
  const command = ['setpriv', ...asNobody, 'faketime', '2031-05-06 07:08:09', process.execPath, MAIN, ...args];
  execFileSync('sh', ['-c', 'umask 077; exec "$@"', 'sh', ...command], {
    cwd: at('of nobody [?@@1M'),
    env: { PATH: '/usr/bin:/bin', TZ: 'Asia/Tokyo', HOME: '/nonexistent' },
    stdio: 'ignore',
  });
  assert.ok(readFileSync(at('disk.img')).equals(readFileSync(at('of nobody [?@@1M/other.qcow'))));
});

test('a disk for GRUB has the flags of a proven slot a, twice, and tells the agent', async () => {
  await demo('grub.img', '--layout', 'grub');
  const esp = extract(at('grub.img'), 'esp');
  for (const name of ['grubenv', 'grubenv2']) {
    const block = execFileSync('mtype', ['-i', esp, `::/EFI/tandem/${name}`]);
    const expected = { ORDER: 'a', a_OK: '1', a_LEFT: '0', b_OK: '0', b_LEFT: '0' };
    assert.deepEqual(Object.fromEntries(readVariables(block) ?? []), expected);
    writeFileSync(at('grubenv'), block);
    assert.match(sh('grub-editenv', at('grubenv'), 'list'), /^ORDER=a$/m);
  }
  const found = await inspected(folder.path, 'grub.img');
  assert.deepEqual([found.boot?.loader, found.boot?.next, found.system?.backend], ['grub', 'a', 'grub']);
  assert.deepEqual(found.system?.varConfig, ['/var/lib/tandem/config.d/00-disk.toml']);
});

test('a tree behind the file system takes one partition for each slot, and tells the agent', async () => {
  await appendedBundle(folder.path);
  await build(folder.path, ['appended.bundle', '-o', 'appended.img', ...loader, ...SMALL]);
  const disk = at('appended.img');
  assert.deepEqual(
    entriesOf(disk).map(({ name }) => name),
    ['esp', 'root-a', 'root-b', 'var'],
  );
  const found = await inspected(folder.path, 'appended.img');
  assert.equal(found.boot?.next, 'a');
  const text = sh('debugfs', '-R', 'cat /lib/tandem/config.d/00-disk.toml', extract(disk, 'var'));
  assert.match(text, /^slots\.a_verity = ""\nslots\.b_verity = ""$/m);
});

test('an arm64 release gets the partition types, the name and the loader of its architecture', async () => {
  await using other = await temporaryFolder();
  await demoBundle(other.path, TREE, 'arm64');
  const args = ['demo.bundle', '-o', 'arm.img', ...SMALL, '--loader-file'];
  await build(other.path, [...args, loaderFile(other.path, 'arm64')]);
  const entries = entriesOf(join(other.path, 'arm.img'));
  assert.equal(entries[1]?.type.toLowerCase(), partitionType('root', 'arm64'));
  assert.match(sh('mdir', '-b', '-i', `${join(other.path, 'arm.img')}@@1M`, '::/EFI/BOOT'), /BOOTAA64\.EFI/);
  const wrong = await refusal(build(other.path, [...args, loaderFile(other.path)]));
  assert.equal(wrong.code, 'image-input');
  assert.match(wrong.message, /is for x86-64, but the release is for arm64/);
});

test('a trust root and settings that the image lacks are on /var, root’s own, and the settings name the root', async () => {
  await using other = await temporaryFolder();
  await demoBundle(other.path, { 'usr/lib/os-release': 'ID=demo\n' });
  await runCommand(repoInit, other.path, ['--repository', 'repository', '--keys', 'keys']);
  writeFileSync(join(other.path, '10-host.toml'), '[host]\nproduct = "demo"\n');
  const root = ['--trust-root', 'repository/metadata/1.root.json'];
  const warnings: string[] = [];
  const bare = ['demo.bundle', '-o', 'disk.img', ...loader, ...SMALL];
  await build(other.path, bare, {}, (text) => void warnings.push(text));
  for (const words of [/no trust root/, /host\.product/, /repository\.url/]) assert.match(warnings.join(''), words);
  warnings.length = 0;
  const args = [...bare, ...root, '--config', '10-host.toml'];
  await build(other.path, args, {}, (text) => void warnings.push(text));
  assert.match(warnings.join(''), /Nothing sets repository\.url/);
  assert.doesNotMatch(warnings.join(''), /trust root|host\.product/);
  const found = await inspected(other.path, 'disk.img');
  assert.deepEqual(found.system?.trustRoot?.path, '/var/lib/tandem/root.json');
  assert.deepEqual(
    found.system?.varConfig.map((path) => path.split('/').at(-1)),
    ['00-disk.toml', '10-host.toml'],
  );
  const offset = found.partitions.find(({ label }) => label === 'var')?.offset;
  const files = sh('debugfs', '-R', 'ls -l /lib/tandem/config.d', `${join(other.path, 'disk.img')}?offset=${offset}`);
  assert.match(files, /100644 \(1\) +0 +0 .* 10-host\.toml/);
});

test('every fault is named at once, before anything is written', async () => {
  writeFileSync(at('bad name.toml'), '[host]\nproduct = "Demo"\n[hots]\n');
  writeFileSync(at('noise.json'), '\u001b[31m\u202e');
  const faulty = ['--config', 'bad name.toml', '--trust-root', 'noise.json', '--root-size', '1K', '--esp-size', '1M'];
  const { code, message } = await refusal(
    build(folder.path, ['demo.bundle', '-o', 'gone/disk.img', '--layout', 'uboot', '--var-size', '1M', ...faulty]),
  );
  assert.equal(code, 'image-input');
  const named = [
    /--layout uboot is not built/,
    /names such as 10-host/,
    /host\.product/,
    /section “hots”/,
    /--trust-root/,
  ];
  for (const words of [...named, /--esp-size is/, /--var-size is/, /does not exist/]) assert.match(message, words);
  assert.deepEqual(leftovers(), []);
});

test('an output that is an input, a folder, a device or below nothing is refused', async () => {
  symlinkSync('demo.bundle', at('link.img'));
  for (const [output, words] of [
    ['demo.bundle', /is also an input/],
    ['link.img', /is also an input/],
    ['.', /is not a regular file/],
    ['/dev/null', /is not a regular file/],
    ['nothing/disk.img', /does not exist/],
  ] as const)
    assert.match((await refusal(demo(output))).message, words, output);
  for (const args of [
    ['demo.bundle'],
    ['demo.bundle', '-o', 'a', '--to', '/dev/null'],
    ['demo.bundle', '-o', 'a', '--var-size', '0'],
  ])
    assert.equal((await refusal(build(folder.path, [...args, ...loader]))).code, 'usage', args.join(' '));
  const { message } = await refusal(demo('x.img', '--layout', 'lilo'));
  assert.equal(message, '--layout must be systemd-boot or grub, not “lilo”.');
  assert.match((await refusal(demo('x.img', '--esp-size', '8T'))).message, /at most 34359738368 are possible/);
});

test('settings and trust roots that do not end, are not there or are not readable are faults like others', async () => {
  const given = ['--config', '/dev/zero', '--config', 'gone.toml', '--config', '.', '--trust-root', '/dev/zero'];
  const { code, message } = await refusal(demo('x.img', ...given));
  assert.equal(code, 'image-input');
  for (const words of [
    /\/dev\/zero: it is larger than 1 MiB/,
    /gone\.toml: it does not exist/,
    /--trust-root \/dev\/zero/,
  ])
    assert.match(message, words);
});

test('a root image whose file system leads outside of it is still a disk; what it says is not known', async () => {
  await using other = await temporaryFolder();
  const root = Buffer.from(rootImage(other.path, TREE));
  // The inode of the root folder, far away.
  root.writeUInt16LE(0xffff, 1024 + 14);
  await makeBundle(join(other.path, 'demo.bundle'), { root, uki: demoUki(root) }, { level: 1 });
  const warnings: string[] = [];
  const args = ['demo.bundle', '-o', 'disk.img', ...loader, ...SMALL];
  await build(other.path, args, {}, (text) => void warnings.push(text));
  assert.match(warnings.join(''), /cannot be looked into/);
});

test('a product other than that of the bundle is refused, since it would never be updated', async () => {
  writeFileSync(at('other.toml'), '[host]\nproduct = "other"\n');
  assert.match((await refusal(demo('x.img', '--config', 'other.toml'))).message, /host\.product is other/);
});

test('without /var there is no place for settings, and none is made', async () => {
  const args = ['demo.bundle', ...loader, '--esp-size', '34M', '--var', 'none', '-o'];
  const { message } = await refusal(build(folder.path, [...args, 'n.img', '--layout', 'grub']));
  assert.match(message, /no place for \/var\/lib\/tandem\/config\.d\/00-disk\.toml/);
  await build(folder.path, [...args, 'n.img']);
  assert.equal(entriesOf(at('n.img')).length, 5);
});

test('with a repository, only a release that it has signed becomes a disk', async () => {
  await runCommand(repoInit, folder.path, ['--repository', 'repository', '--keys', 'keys']);
  const signed = ['--repository', 'repository'];
  assert.equal(
    (await refusal(demo('s.img', ...signed, '--trust-root', 'repository/metadata/1.root.json'))).code,
    'release-unknown',
  );
  await runCommand(repoAdd, folder.path, ['demo.bundle', ...signed, '--keys', 'keys']);
  // The trust root in the image is of another repository, or of none.
  assert.equal((await refusal(demo('s.img', ...signed))).code, 'trust-root-invalid');
  await demo('s.img', ...signed, '--trust-root', 'repository/metadata/1.root.json');
  assert.ok(existsSync(at('s.img')));
});

test('programs that are missing are named with their packages, all at once', async () => {
  const needed = ['sfdisk', 'mkfs.vfat', 'mcopy', 'mke2fs', 'qemu-img', 'partx', 'none-of-ours'];
  const all = await missingTools({ env: () => at('nothing') }, needed);
  assert.deepEqual(all.includes('mcopy is not installed (Debian package mtools)'), true);
  assert.ok(all.includes('qemu-img is not installed (Debian package qemu-utils)'));
  assert.deepEqual(await missingTools({ env: (name) => process.env[name] }, needed), [
    'none-of-ours is not installed (Debian package none-of-ours)',
  ]);
});

test('on a full file system there is a reason, no image, and nothing left', async () => {
  const dir = mkdtempSync(at('full-'));
  for (const size of ['300k', '700k', '900k']) {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tandem', dir]);
    try {
      const { code } = await refusal(demo(join(dir, 'disk.img')));
      assert.equal(code, 'file-system-full', size);
      assert.deepEqual(readdirSync(dir), [], size);
    } finally {
      execFileSync('umount', [dir]);
    }
  }
});

test('a build that is killed leaves the old image, or none, under the name', async () => {
  const args = ['image', 'build', 'demo.bundle', '-o', 'killed.img', ...loader, ...SMALL];
  for (const [moment, before] of [
    [20, undefined],
    [120, 'old'],
  ] as const) {
    if (before !== undefined) writeFileSync(at('killed.img'), before);
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder.path, stdio: 'ignore' });
    const ended = once(child, 'exit');
    // As soon as there is something to be left behind, and a little later.
    while (leftovers().length === 0 && child.exitCode === null) await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + moment;
    while (performance.now() < until && child.exitCode === null) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGKILL');
    const [status] = (await ended) as [number | null];
    const whole = status === 0 || (existsSync(at('killed.img')) && statSync(at('killed.img')).size > 1024 * 1024);
    if (whole) assert.match(sh('sfdisk', '--verify', at('killed.img')), /No errors detected/);
    else assert.equal(existsSync(at('killed.img')) ? readFileSync(at('killed.img'), 'utf8') : undefined, before);
    for (const name of leftovers()) execFileSync('rm', ['-r', at(name)]);
    execFileSync('rm', ['-f', at('killed.img')]);
  }
});

test('a qcow2 image is the same disk, and the same bytes twice', async () => {
  await demo('q1.qcow2', '--format', 'qcow2');
  sh('qemu-img', 'convert', '-q', '-m', '1', '-f', 'raw', '-O', 'qcow2', at('disk.img'), at('q2.qcow2'));
  assert.ok(readFileSync(at('q1.qcow2')).equals(readFileSync(at('q2.qcow2'))));
  assert.equal(
    spawnSync('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', at('disk.img'), at('q1.qcow2')]).status,
    0,
  );
});

test('files have the time of the release, or SOURCE_DATE_EPOCH', async () => {
  const stat = sh('debugfs', '-R', 'stat /lib/tandem', extract(at('disk.img'), 'var'));
  assert.match(stat, new RegExp(`mtime: 0x${EPOCH.toString(16)}`));
  await build(folder.path, ['demo.bundle', '-o', 'time.img', ...loader, ...SMALL], { SOURCE_DATE_EPOCH: '1800000000' });
  assert.match(sh('debugfs', '-R', 'stat /lib/tandem', extract(at('time.img'), 'var')), /mtime: 0x6b49d200/);
});
