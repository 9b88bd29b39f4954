/** A system on trial that nobody settles is ended from outside of Node.js. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Sha256, SlotName } from '../../src/model.ts';
import { systemdBoot } from '../../src/reboot/bootloaders/systemd-boot.ts';
import { type DeadMan, deadMan } from '../../src/reboot/dead-man.ts';
import { type Files, realFiles } from '../../src/system/files.ts';
import { espWorld, rootHashOfVersion, uki } from '../support/esp.ts';
import { fakeSystemctl } from '../support/fake-systemctl.ts';

const SCRIPT = join(import.meta.dirname, '..', '..', 'systemd', 'tandem-dead-man');

/** In these tests slot b holds what is on trial, and slot a the system before it. */
const HOLDS = { a: '1', b: '2' };

type Host = Readonly<{
  trial?: string;
  booted: string;
  entries: Record<string, string>;
  esp?: string;
  softFrom?: string;
  /** The version whose trial is over, as the runtime directory has it. */
  over?: string;
  /** The file system of the state is not there. */
  stateless?: boolean;
  /** The new name of the booted entry, as systemd-boot tells it to the system. */
  countedAs?: string;
  /** What the Raspberry Pi's firmware says of a start. */
  tryboot?: number;
  /** What starts the machine. */
  backend?: string;
  /** What is mounted on / below the file system that counts. */
  below?: string;
  /** What follows in the marker. */
  appended?: string;
  /** What the script is called with. */
  word?: string;
  /** What is done before, in the shell that becomes the script. */
  before?: string;
  /** The status of systemctl. */
  systemctl?: number;
  /** What other tools do instead. */
  tools?: Readonly<Record<string, string>>;
}>;

/** Runs the script in a host with these boot entries (file name to version). */
async function run(host: Host, times = 1) {
  await using systemctl = await fakeSystemctl();
  const root = await mkdtemp(join(tmpdir(), 'tandem-dead-man-'));
  try {
    const [esp, state] = [join(root, host.esp ?? 'efi', 'EFI/Linux'), join(root, 'var/lib/tandem')];
    for (const dir of [esp, join(root, 'proc/self'), join(root, 'run/tandem'), join(root, 'proc/sys/kernel/random')])
      await mkdir(dir, { recursive: true });
    const started = host.softFrom ?? host.booted;
    await writeFile(join(root, 'proc/cmdline'), `quiet roothash=${rootHashOfVersion(started)} ro\n`);
    await writeFile(join(root, 'proc/sys/kernel/random/boot_id'), 'this-boot\n');
    const device = host.softFrom === undefined ? 'root' : `tandem-${rootHashOfVersion(host.booted)}`;
    await writeFile(
      join(root, 'proc/self/mountinfo'),
      `${mountOf(host.below)}40 1 254:5 / / ro,relatime shared:1 - erofs /dev/mapper/${device} ro,user_xattr\n41 40 254:6 / /var rw - ext4 /dev/mapper/tandem-0 rw\n`,
    );
    for (const [file, version] of Object.entries(host.entries)) await writeFile(join(esp, file), uki(version));
    const marker = deadMan(
      realFiles,
      { stateDir: state, runtimeDir: join(root, 'run/tandem') },
      host.backend ?? 'systemd-boot',
      async () => rootHashOfVersion(host.trial ?? ''),
    );
    if (host.trial) await marker.set('b');
    if (host.over) await writeFile(join(root, 'run/tandem/trial-over'), `${rootHashOfVersion(host.over)}\n`);
    if (host.appended) await appendFile(join(state, 'trial'), host.appended);
    if (host.systemctl) await systemctl.answer('reboot', { status: host.systemctl });
    await (host.stateless ? rm(state, { recursive: true, force: true }) : mkdir(state, { recursive: true }));
    if (host.countedAs !== undefined) await put(join(root, COUNTED), loaderVariable(host.countedAs));
    if (host.tryboot !== undefined) await put(join(root, TRYBOOT), Uint8Array.of(0, 0, 0, host.tryboot));
    await mkdir(join(root, 'bin'));
    for (const [tool, does] of Object.entries(host.tools ?? {}))
      await writeFile(join(root, 'bin', tool), `#!/bin/sh\n${does}\n`, { mode: 0o755 });
    const PATH = `${join(root, 'bin')}:${systemctl.env['PATH']}`;
    const env = { ...process.env, ...systemctl.env, PATH, TANDEM_ROOT: root };
    const start = `${host.before ?? ':'}; exec sh "$0" ${host.word ?? ''}`;
    const runs = Array.from({ length: times }, () => spawnSync('sh', ['-c', start, SCRIPT], { env, encoding: 'utf8' }));
    const last = runs.at(-1);
    return {
      status: last?.status,
      said: last?.stderr ?? '',
      calls: await systemctl.calls(),
      synced: (await readFile(join(root, 'synced'), 'utf8').catch(() => '')).split('\n'),
      entries: (await readdir(esp)).sort(),
      next: await nextOf(join(root, host.esp ?? 'efi'), host.entries),
      marker: host.over ? undefined : await marker.read(),
    };
  } finally {
    await rm(root, { recursive: true });
  }
}

const COUNTED = 'sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
const TRYBOOT = 'proc/device-tree/chosen/bootloader/tryboot';

async function put(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

/** As efivarfs shows it: four bytes of attributes, then the text in UTF-16 with a NUL. */
const loaderVariable = (text: string): Uint8Array =>
  Buffer.concat([Uint8Array.of(6, 0, 0, 0), Buffer.from(`${text}\0`, 'utf16le')]);

const mountOf = (version: string | undefined): string =>
  version === undefined
    ? ''
    : `39 1 254:4 / / ro - erofs /dev/mapper/tandem-${rootHashOfVersion(version)} ro\n38 39 0:5 / /dev rw - devtmpfs none rw\n`;

/** An ESP without any entry is taken for one that is not mounted. */
const nextOf = async (esp: string, entries: Host['entries']): Promise<SlotName | undefined> =>
  Object.keys(entries).length > 0 ? (await systemdBoot(espWorld(realFiles, esp, HOLDS)).read()).next : undefined;

test('the script restarts a system on trial whose entry the boot loader counts, and leaves the entry alone', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2+2-1.efi': '2' };
  const found = await run({ trial: '2', booted: '2', entries });
  assert.equal(found.status, 0, found.said);
  assert.deepEqual(found.calls, ['--no-wall --force reboot']);
  assert.deepEqual(found.entries, Object.keys(entries));
  assert.deepEqual(found.marker, { slot: 'b', rootHash: rootHashOfVersion('2'), began: 0, expired: true });
});

test('the script takes back a confirmation that was not ours, since the boot loader would not fall back', async () => {
  for (const esp of ['efi', 'boot', 'boot/efi']) {
    const found = await run({ trial: '2', booted: '2', esp, entries: { 'shop_1.efi': '1', 'shop_2.efi': '2' } });
    assert.equal(found.status, 0, found.said);
    assert.deepEqual(found.entries, ['shop_1.efi', 'shop_2+0-1.efi']);
    assert.equal(found.next, 'a');
    assert.equal(found.calls.length, 1);
  }
});

test('an older version on trial that was confirmed by others gives way to the newer, which was put in reserve', async () => {
  const entries = { 'shop_1+0-100.efi': '1', 'shop_0.9.efi': '2' };
  const found = await run({ trial: '2', booted: '2', entries });
  assert.equal(found.status, 0, found.said);
  assert.deepEqual(found.entries, ['shop_0.9+0-1.efi', 'shop_1+0-100.efi']);
});

test('that the system on trial has started is noted once for each start, and nothing else is done', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2+2-1.efi': '2' };
  const found = await run({ trial: '2', booted: '2', word: 'began', entries }, 3);
  assert.deepEqual([found.status, found.calls, found.entries], [0, [], Object.keys(entries)], found.said);
  assert.deepEqual(found.marker, { slot: 'b', rootHash: rootHashOfVersion('2'), began: 3, expired: false });
});

test('nothing is noted in another system than the one on trial, and without one', async () => {
  const other = await run({ trial: '2', booted: '1', word: 'began', entries: {} });
  assert.deepEqual([other.status, other.marker?.began], [0, 0]);
  const none = await run({ booted: '2', word: 'began', entries: {} });
  assert.deepEqual([none.status, none.marker], [0, undefined]);
});

test('a note after one that a power cut has torn is read all the same', async () => {
  const torn = {
    trial: '2',
    booted: '2',
    entries: {},
    backend: 'grub',
    before: 'printf "\\nbega" >>"$TANDEM_ROOT/var/lib/tandem/trial"',
  };
  assert.equal((await run({ ...torn, word: 'began' })).marker?.began, 1);
  assert.equal((await run(torn)).marker?.expired, true);
});

test('the script does nothing when the trial is over, though a disk that is full has kept the marker', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2.efi': '2' };
  const over = await run({ trial: '2', booted: '2', over: '2', entries });
  assert.deepEqual([over.status, over.calls, over.entries], [0, [], Object.keys(entries)], over.said);
  const other = await run({ trial: '2', booted: '2', over: '1', entries });
  assert.deepEqual(other.calls, ['--no-wall --force reboot'], 'that of another system says nothing');
});

test('the script does nothing when no system is on trial', async () => {
  const found = await run({ booted: '2', entries: { 'shop_2.efi': '2' } });
  assert.deepEqual([found.status, found.calls, found.entries], [0, [], ['shop_2.efi']]);
});

test('the script does nothing in the system that was fallen back to', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2+0-3.efi': '2' };
  const found = await run({ trial: '2', booted: '1', entries });
  assert.deepEqual([found.status, found.calls, found.entries], [0, [], Object.keys(entries)]);
  assert.equal(found.marker?.expired, false);
});

test('after a soft reboot the script goes by the device that is mounted, not by the old command line', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2+2-1.efi': '2' };
  const trial = await run({ trial: '2', booted: '2', softFrom: '1', entries });
  assert.deepEqual([trial.status, trial.calls], [0, ['--no-wall --force reboot']], trial.said);
  const back = await run({ trial: '2', booted: '1', softFrom: '2', entries });
  assert.deepEqual([back.status, back.calls], [0, []], back.said);
});

test('the script does not restart when that could not change what is started', async () => {
  const found = await run({ trial: '2', booted: '2', entries: { 'shop_1.efi': '1' } });
  assert.deepEqual([found.status, found.calls], [1, []]);
  assert.match(found.said, /no boot entry/);
});

test('of several file systems on the root folder the last one counts, which lies on top', async () => {
  const host = { trial: '2', booted: '2', softFrom: '1', below: '1', entries: { 'shop_2+2-1.efi': '2' } };
  const found = await run(host);
  assert.deepEqual([found.status, found.calls.length], [0, 1], found.said);
  const back = await run({ ...host, booted: '1', softFrom: '2', below: '2' });
  assert.deepEqual([back.status, back.calls], [0, []], back.said);
});

test('where systemd does not restart the machine when asked, it is made to', async () => {
  const found = await run({ trial: '2', booted: '2', entries: { 'shop_2+2-1.efi': '2' }, systemctl: 1 });
  assert.deepEqual(found.calls, ['--no-wall --force reboot', '--force --force reboot']);
});

test('the machine is restarted even where the marker cannot be written', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2+2-1.efi': '2' };
  // No file may grow beyond 1024 bytes: the marker is longer already.
  const full = { appended: '\n'.repeat(1100), before: "trap '' XFSZ; ulimit -f 2" };
  const found = await run({ trial: '2', booted: '2', entries, ...full });
  assert.match(found.said, /the marker cannot be written/);
  assert.deepEqual([found.status, found.calls], [0, ['--no-wall --force reboot']]);
  assert.equal(found.marker?.expired, false);
});

test('the machine is not restarted where the confirmation of others cannot be taken back, since it would start the same again', async () => {
  const found = await run({
    trial: '2',
    booted: '2',
    entries: { 'shop_1.efi': '1', 'shop_2.efi': '2' },
    tools: { mv: 'exit 1' },
  });
  assert.notEqual(found.status, 0);
  assert.deepEqual([found.calls, found.entries], [[], ['shop_1.efi', 'shop_2.efi']]);
  assert.equal(found.marker?.expired, false);
});

test('what is counted is on the medium before the machine restarts, and before the system on trial goes on to start', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2+2-1.efi': '2' };
  const sync = 'cat "$TANDEM_ROOT/var/lib/tandem/trial" "$FAKE_SYSTEMCTL/calls" >"$TANDEM_ROOT/synced" 2>&1';
  for (const [word, line] of [
    ['', 'expired=1'],
    ['began', 'began=this-boot'],
  ] as const) {
    const { synced } = await run({ trial: '2', booted: '2', word, entries, tools: { sync } });
    assert.ok(synced.includes(line), synced.join(' '));
    assert.ok(!synced.some((one) => one.includes('reboot')), synced.join(' '));
  }
});

test('whatever the script does or leaves undone is told to the journal in one line', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2.efi': '2' };
  const trial = { trial: '2', booted: '2', entries };
  const told: readonly (readonly [Host, ...string[]])[] = [
    [{ booted: '2', entries }],
    [{ ...trial, booted: '1' }, 'not running from the system on trial'],
    [{ ...trial, booted: '1', word: 'began' }, 'not running from the system on trial'],
    [{ ...trial, over: '2' }, 'the trial is over'],
    [{ ...trial, word: 'began' }],
    [{ ...trial, appended: 'expired=1\n'.repeat(20) }, 'restarted 20 times in vain, giving up'],
    [{ ...trial, entries: { 'shop_1.efi': '1' } }, 'no boot entry of the system on trial was found in '],
    [trial, 'took the confirmation from shop_2.efi', 'the system on trial was not settled in time, restarting'],
  ];
  for (const [host, ...sentences] of told) {
    const lines = (await run(host)).said.split('\n').filter((line) => line !== '');
    assert.equal(lines.length, sentences.length, lines.join(' '));
    for (const [at, sentence] of sentences.entries())
      assert.ok(lines[at]?.startsWith(`tandem-dead-man: ${sentence}`), `${lines[at]} is not ${sentence}`);
  }
});

test('a system that cannot tell which one it is does nothing', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2.efi': '2' };
  const before = 'echo quiet >"$TANDEM_ROOT/proc/cmdline"';
  const found = await run({ trial: '2', booted: '2', entries, before });
  assert.deepEqual([found.status, found.calls, found.entries], [0, [], Object.keys(entries)], found.said);
});

test('of several places where an ESP may be mounted the first that holds entries counts', async () => {
  const before = 'mkdir -p "$TANDEM_ROOT/boot/EFI/Linux"';
  const found = await run({ trial: '2', booted: '2', entries: { 'shop_1.efi': '1', 'shop_2.efi': '2' }, before });
  assert.deepEqual([found.status, found.entries], [0, ['shop_1.efi', 'shop_2+0-1.efi']], found.said);
});

test('the first root hash that the marker names is the one on trial, whatever a power cut has left behind it', async () => {
  const entries = { 'shop_1.efi': '1', 'shop_2+2-1.efi': '2' };
  const found = await run({ trial: '2', booted: '2', entries, appended: `roothash=${rootHashOfVersion('9')}\n` });
  assert.deepEqual([found.status, found.calls.length], [0, 1], found.said);
});

for (const backend of ['grub', 'uboot', 'efi-variables', 'gpt', 'tryboot', 'program'])
  test(`with ${backend}, which counts by itself, the script restarts a system on trial, twenty times at most`, async () => {
    const found = await run({ trial: '2', booted: '2', entries: {}, backend });
    assert.deepEqual([found.status, found.calls], [0, ['--no-wall --force reboot']], found.said);
    assert.equal(found.marker?.expired, true);
    const back = await run({ trial: '2', booted: '1', entries: {}, backend });
    assert.deepEqual([back.status, back.calls], [0, []], 'not in the system that was fallen back to');
    assert.equal((await run({ trial: '2', booted: '2', entries: {}, backend }, 22)).calls.length, 20);
  });

test('a marker that does not name the boot loader is one of systemd-boot', async () => {
  const found = await run({ trial: '2', booted: '2', entries: { 'shop_2.efi': '2' }, backend: '' });
  assert.deepEqual([found.status, found.entries], [0, ['shop_2+0-1.efi']], found.said);
});

test('a system whose state cannot be mounted is restarted as long as the boot loader has it on trial, and not without end', async () => {
  const lost = { booted: '2', stateless: true, entries: {} };
  const counted = (used: number) => `\\EFI\\Linux\\shop_2+${Math.max(0, 3 - used)}-${used}.efi`;
  const cases: readonly (readonly [Partial<Host>, number])[] = [
    [{}, 0],
    [{ countedAs: counted(1) }, 1],
    [{ countedAs: counted(3) }, 1],
    [{ countedAs: counted(19) }, 1],
    [{ countedAs: counted(20) }, 0],
    [{ countedAs: '\\EFI\\Linux\\shop_2.efi' }, 0],
    [{ countedAs: '' }, 0],
    [{ tryboot: 1 }, 1],
    [{ tryboot: 0 }, 0],
    [{ countedAs: counted(1), over: '2' }, 0],
    [{ countedAs: counted(1), word: 'began' }, 0],
    [{ countedAs: counted(1), stateless: false }, 0],
  ];
  for (const [host, restarts] of cases) {
    const found = await run({ ...lost, ...host });
    assert.deepEqual([found.status, found.calls.length], [0, restarts], `${JSON.stringify(host)}: ${found.said}`);
  }
});

test('the script gives up after 20 restarts in vain', async () => {
  const found = await run({ trial: '2', booted: '2', entries: { 'shop_2+0-1.efi': '2' } }, 22);
  assert.deepEqual([found.status, found.calls.length], [1, 20]);
});

test('the script is clean in the eyes of shellcheck, and short', async () => {
  const found = spawnSync('shellcheck', [SCRIPT], { encoding: 'utf8' });
  assert.equal(found.status, 0, found.error?.message ?? found.stdout);
  assert.ok((await readFile(SCRIPT, 'utf8')).split('\n').length <= 110);
});

const dirs = (dir: string) => ({ stateDir: join(dir, 'state'), runtimeDir: join(dir, 'run') });

/** A marker of its own, in a machine whose disk may be `full`. */
async function withMarker(
  check: (marker: DeadMan, disk: { full: boolean }, dir: string) => Promise<void>,
  hash: () => Sha256 | undefined = () => rootHashOfVersion('2'),
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-marker-'));
  const disk = { full: false };
  const files: Files = {
    ...realFiles,
    remove: async (path) => {
      if (disk.full && path.includes('/state/')) throw Object.assign(new Error('read-only'), { code: 'EROFS' });
      await realFiles.remove(path);
    },
  };
  try {
    for (const each of Object.values(dirs(dir))) await mkdir(each);
    await check(
      deadMan(files, dirs(dir), 'grub', async () => hash()),
      disk,
      dir,
    );
  } finally {
    await rm(dir, { recursive: true });
  }
}

const TRIAL = { slot: 'b', rootHash: rootHashOfVersion('2'), began: 0, expired: false };

test('the marker is written, read and cleared, and clearing it twice is fine', () =>
  withMarker(async (marker) => {
    assert.equal(await marker.read(), undefined);
    await marker.set('b');
    assert.deepEqual(await marker.read(), TRIAL);
    await marker.clear();
    await marker.clear();
    assert.equal(await marker.read(), undefined);
  }));

test('where the disk keeps the marker, the trial is over for as long as the machine runs, and the marker goes when it can', () =>
  withMarker(async (marker, disk, dir) => {
    await marker.set('b');
    disk.full = true;
    await marker.clear();
    assert.equal(await marker.read(), undefined);
    assert.deepEqual(await readdir(join(dir, 'state')), ['trial']);
    // What the machine forgets when it starts again.
    await rm(join(dir, 'run/trial-over'));
    assert.deepEqual(await marker.read(), TRIAL);
    await marker.clear();
    disk.full = false;
    await marker.clear();
    assert.deepEqual(await readdir(join(dir, 'state')), []);
  }));

test('a system that is tried again is on trial again, though its last trial is over', () =>
  withMarker(async (marker) => {
    await marker.set('b');
    await marker.clear();
    await marker.set('b');
    assert.deepEqual(await marker.read(), TRIAL);
  }));

test('a marker that stays, and can be told nowhere to be over, is an error', () =>
  withMarker(async (marker, disk, dir) => {
    await marker.set('b');
    disk.full = true;
    await rm(join(dir, 'run'), { recursive: true });
    await assert.rejects(marker.clear(), { code: 'EROFS' });
    await mkdir(join(dir, 'run'));
  }));

test('a marker that cannot be read is no marker', () => {
  const none = (): undefined => undefined;
  return withMarker(async (marker, _disk, dir) => {
    for (const text of ['', 'b', 'slot=c\n', 'slot=b\nroothash=12\n', 'x'.repeat(10_000)]) {
      await writeFile(join(dir, 'state/trial'), text);
      assert.equal(await marker.read(), undefined);
    }
    await assert.rejects(marker.set('b'), { code: 'boot-entry-missing' });
  }, none);
});
