/** Faults seeded into a good tree, one at a time: doctor finds each of them, and nothing else. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import type { NamedFinding } from '../../../src/cli/doctor/report.ts';
import { ENABLED_UNITS, STARTED_UNITS } from '../../../src/cli/doctor/tandem-units.ts';
import { examineTree } from '../../../src/cli/doctor/tree/examine.ts';
import type { Companions } from '../../../src/cli/doctor/tree/world.ts';
import { cpioArchive } from '../../support/cpio.ts';
import { ARM64, elfFile } from '../../support/elf.ts';
import { file, goodTree, KERNEL, link, memoryTree, program, type TreeItem } from '../../support/good-tree.ts';
import { assertOnly } from '../../support/only-finding.ts';
import { daysLater, NOW, TestRepository } from '../../support/tuf-repository.ts';

const repository = new TestRepository();
const stranger = new TestRepository();
after(() => {
  repository[Symbol.dispose]();
  stranger[Symbol.dispose]();
});
await repository.init();
await stranger.init();
const expiring = await new TestRepository().init(undefined, daysLater(-340));

const BUILTIN = 'usr/lib/modules/x/modules.builtin';
const SYSTEMD_INITRD = [
  { path: 'init', content: 'usr/lib/systemd/systemd', mode: 0o120777 },
  { path: 'usr/lib/systemd/systemd' },
  { path: 'usr/lib/systemd/systemd-veritysetup' },
  { path: 'usr/lib/systemd/system-generators/systemd-veritysetup-generator' },
  { path: BUILTIN, content: 'kernel/fs/erofs/erofs.ko\n' },
  { path: `usr/lib/modules/${KERNEL}/kernel/drivers/md/dm-verity.ko.zst` },
];

const initrdOf = (bytes: Uint8Array): Required<Companions>['initrds'] => [
  {
    name: 'initrd',
    source: {
      size: bytes.length,
      open: async function* (at) {
        yield bytes.subarray(at);
      },
    },
  },
];
const initrdWithout = (...paths: readonly string[]): Pick<Companions, 'initrds'> => ({
  initrds: initrdOf(cpioArchive(SYSTEMD_INITRD.filter(({ path }) => !paths.includes(path)))),
});

const GOOD: Companions = {
  version: '2.1',
  product: 'shop',
  architecture: 'x86-64',
  commandLine: 'console=ttyS0',
  kernel: { name: 'vmlinuz', release: KERNEL },
  ...initrdWithout(),
  roots: new Map([[1, repository.root]]),
};

const examine = (change: Change = {}, companions: Companions = {}): Promise<readonly NamedFinding[]> => {
  const spec = Object.entries({ ...goodTree(repository.root), ...change }).filter(
    (one): one is [string, TreeItem] => one[1] !== undefined,
  );
  const context = { clock: { now: () => NOW } as never, signal: new AbortController().signal };
  return examineTree(context, memoryTree(Object.fromEntries(spec)), { ...GOOD, ...companions });
};

type Change = Readonly<Record<string, TreeItem | undefined>>;
type Fault = readonly [
  fault: string,
  check: string,
  result: Exclude<Finding['result'], 'ok'>,
  sentence: RegExp,
  change: Change,
  companions?: Companions,
];

const SYSTEMD = '/usr/lib/systemd/system';
const ETC = '/etc/systemd/system';
const LIB = '/usr/lib/x86_64-linux-gnu';
const CONFIG = '/usr/lib/tandem/config.d/10-shop.toml';
const configured = (more: string): TreeItem =>
  file(`${more}\nhost.product = "shop"\nrepository.url = "https://updates.example/"\n`);
const fstab = (...lines: readonly string[]): Change => ({ '/etc/fstab': file(`${lines.join('\n')}\n`) });
const VAR = 'PARTLABEL=var /var ext4 nosuid 0 2';
const ESP = 'PARTLABEL=esp /efi vfat umask=0077,dirsync 0 2';
const TMP = 'tmpfs /tmp tmpfs nosuid 0 0';

const FAULTS: readonly Fault[] = [
  ['no init', 'system', 'fail', /^\/sbin\/init is missing/, { '/usr/sbin/init': undefined }],
  [
    'a damaged init',
    'system',
    'fail',
    /is damaged/,
    { '/usr/lib/systemd/systemd': file(elfFile().subarray(0, 90), 0o755) },
  ],
  [
    'a tree for another architecture',
    'system',
    'fail',
    /for x86-64, but the release is for arm64/,
    {},
    { architecture: 'arm64' },
  ],
  ['no folder for /proc', 'system', 'fail', /^\/proc must exist/, { '/proc': undefined }],
  ['no IMAGE_VERSION', 'version', 'warn', /no IMAGE_VERSION/, { '/usr/lib/os-release': file('ID=shop\n') }],
  [
    'the version of the release before',
    'version',
    'warn',
    /IMAGE_VERSION=2\.0, but the release is 2\.1/,
    { '/usr/lib/os-release': file('IMAGE_VERSION="2.0"\n') },
  ],
  ['no os-release', 'version', 'fail', /os-release is missing/, { '/usr/lib/os-release': undefined }],
  [
    'an unknown key',
    'configuration',
    'fail',
    /10-shop\.toml:1: .*Did you mean “tries”/,
    { [CONFIG]: configured('boot.trise = 1') },
  ],
  ['a wrong value', 'configuration', 'fail', /boot\.tries/, { [CONFIG]: configured('boot.tries = "three"') }],
  ['no TOML', 'configuration', 'fail', /20-more\.toml:1:/, { '/etc/tandem/config.d/20-more.toml': file('boot = {') }],
  [
    'no product',
    'configuration',
    'fail',
    /host\.product is not set/,
    { [CONFIG]: file('repository.url = "https://updates.example/"\n') },
  ],
  [
    'the product of another bundle',
    'configuration',
    'fail',
    /install shop, but the release is of kiosk/,
    {},
    { product: 'kiosk' },
  ],
  [
    'no repository',
    'configuration',
    'warn',
    /repository\.url is not set/,
    { [CONFIG]: file('host.product = "shop"\n') },
  ],
  [
    'a drop-in of another name',
    'configuration',
    'warn',
    /20-more\.conf is not read/,
    { '/etc/tandem/config.d/20-more.conf': file('') },
  ],
  [
    'a drop-in that /var hides',
    'configuration',
    'warn',
    /not seen by hosts/,
    { '/var/lib/tandem/config.d/x.toml': file('') },
  ],
  [
    'a pipe for a drop-in',
    'configuration',
    'fail',
    /is a pipe/,
    { '/etc/tandem/config.d/20-more.toml': { kind: 'pipe' } },
  ],
  [
    'a drop-in of ten gigabytes',
    'configuration',
    'fail',
    /10000000000 bytes/,
    { '/etc/tandem/config.d/20-more.toml': { text: '', size: 1e10 } },
  ],
  ['no command', 'agent', 'fail', /^\/usr\/bin\/updatectl is missing/, { '/usr/bin/updatectl': undefined }],
  [
    'a command without the x bit',
    'agent',
    'fail',
    /updatectl is not executable/,
    { '/usr/bin/updatectl': file('#!/bin/sh\nexec /usr/lib/tandem/node\n') },
  ],
  [
    'no runtime',
    'agent',
    'fail',
    /starts \/usr\/lib\/tandem\/node, which is missing/,
    { '/usr/lib/tandem/node': undefined },
  ],
  [
    'a runtime for another architecture',
    'agent',
    'fail',
    /node is for arm64, but the tree is for x86-64/,
    { '/usr/lib/tandem/node': file(elfFile({ machine: ARM64 }), 0o755) },
  ],
  [
    'no libatomic',
    'libraries',
    'fail',
    /needs libatomic\.so\.1 \(Debian package libatomic1\)/,
    { [`${LIB}/libatomic.so.1`]: undefined },
  ],
  ['a dangling link to libatomic', 'libraries', 'fail', /libatomic1/, { [`${LIB}/libatomic.so.1.2.0`]: undefined }],
  ['no libstdc++', 'libraries', 'fail', /libstdc\+\+6/, { [`${LIB}/libstdc++.so.6`]: undefined }],
  [
    'libstdc++ for another architecture',
    'libraries',
    'fail',
    /libstdc\+\+6/,
    { [`${LIB}/libstdc++.so.6`]: file(elfFile({ machine: ARM64 })) },
  ],
  [
    'an old libstdc++',
    'libraries',
    'fail',
    /needs GLIBCXX_3\.4\.30, which libstdc\+\+\.so\.6 is too old for/,
    { [`${LIB}/libstdc++.so.6`]: file(elfFile({ provides: ['GLIBCXX_3.4'] })) },
  ],
  ['no systemd-notify', 'tools', 'fail', /systemd-notify/, { '/usr/bin/systemd-notify': undefined }],
  [
    'a soft reboot without veritysetup',
    'tools',
    'warn',
    /lacks veritysetup/,
    { [CONFIG]: configured('reboot.method = "soft"') },
  ],
  [
    'the agent is not enabled',
    'units',
    'fail',
    /^Not enabled: tandem-agent\.service\.$/,
    { [`${ETC}/multi-user.target.wants/tandem-agent.service`]: undefined },
  ],
  [
    'the timer is not enabled',
    'units',
    'fail',
    /^Not enabled: tandem-dead-man\.timer\.$/,
    { [`${ETC}/sysinit.target.wants/tandem-dead-man.timer`]: undefined },
  ],
  [
    'the confirmation is not enabled',
    'units',
    'fail',
    /^Not enabled: tandem-confirm/,
    { [`${ETC}/boot-complete.target.requires/tandem-confirm.service`]: undefined },
  ],
  [
    'the agent is masked',
    'units',
    'fail',
    /^Masked: tandem-agent\.service/,
    { [`${ETC}/tandem-agent.service`]: link('/dev/null') },
  ],
  [
    'a unit is missing',
    'units',
    'fail',
    /^Missing: tandem-jump@\.service/,
    { [`${SYSTEMD}/tandem-jump@.service`]: undefined },
  ],
  [
    'the rescue system by default',
    'units',
    'warn',
    /starts rescue\.target/,
    { [`${ETC}/default.target`]: link(`${SYSTEMD}/rescue.target`) },
  ],
  [
    'no drop-in for bless-boot',
    'bless-boot',
    'warn',
    /no drop-in/,
    { [`${SYSTEMD}/systemd-bless-boot.service.d/10-tandem.conf`]: undefined },
  ],
  ['no dead man', 'dead man', 'fail', /tandem-dead-man is missing/, { '/usr/lib/tandem/tandem-dead-man': undefined }],
  [
    'a dead man without the x bit',
    'dead man',
    'fail',
    /not executable/,
    { '/usr/lib/tandem/tandem-dead-man': file('#!/bin/sh\n') },
  ],
  [
    'another dead man',
    'dead man',
    'warn',
    /not the one that comes with Tandem/,
    { '/usr/lib/tandem/tandem-dead-man': program() },
  ],
  [
    'a dead man with line ends of Windows',
    'dead man',
    'fail',
    /line ends of Windows/,
    { '/usr/lib/tandem/tandem-dead-man': program('#!/bin/sh\r\nset -eu\r\n') },
  ],
  ['a dead man without sed', 'dead man', 'fail', /calls sed, which the tree lacks/, { '/usr/bin/sed': undefined }],
  [
    'too short a timer',
    'dead man’s time',
    'warn',
    /before the verdict/,
    { [`${ETC}/tandem-dead-man.timer.d/10-short.conf`]: file('[Timer]\nOnActiveSec=\nOnActiveSec=2min\n') },
  ],
  [
    'a timer that never fires',
    'dead man’s time',
    'fail',
    /no OnActiveSec=/,
    { [`${ETC}/tandem-dead-man.timer.d/10-short.conf`]: file('[Timer]\nOnActiveSec=\n') },
  ],
  [
    'a health program without the x bit',
    'health',
    'fail',
    /required\/shop is not executable/,
    { '/usr/lib/tandem/health.d/required/shop': file('#!/bin/sh\n') },
  ],
  [
    'a health program with line ends of Windows',
    'health',
    'fail',
    /line ends of Windows/,
    { '/usr/lib/tandem/health.d/required/shop': program('#!/bin/sh\r\n') },
  ],
  [
    'a health program without its interpreter',
    'health',
    'fail',
    /needs \/usr\/bin\/python3/,
    { '/usr/lib/tandem/health.d/required/shop': program('#!/usr/bin/python3\n') },
  ],
  [
    'nothing is required',
    'health',
    'warn',
    /The only health requirement/,
    { '/usr/lib/tandem/health.d/required/shop': undefined },
  ],
  [
    'a masked health program',
    'health',
    'warn',
    /The only health requirement/,
    { '/etc/tandem/health.d/required/shop': link('/dev/null') },
  ],
  [
    'a health program in the wrong folder',
    'health',
    'warn',
    /health\.d\/mail is never run/,
    { '/usr/lib/tandem/health.d/mail': program() },
  ],
  [
    'a hook without the x bit',
    'pre-reboot',
    'fail',
    /10-drain is not executable/,
    { '/usr/lib/tandem/pre-reboot.d/10-drain': file('#!/bin/sh\n') },
  ],
  ['no trust root', 'trust root', 'fail', /root\.json is missing/, { '/usr/share/tandem/root.json': undefined }],
  [
    'a trust root that is none',
    'trust root',
    'fail',
    /not a valid root/,
    { '/usr/share/tandem/root.json': file('{}') },
  ],
  [
    'a trust root with a wrong signature',
    'trust root',
    'fail',
    /0 of the 1 signatures/,
    { '/usr/share/tandem/root.json': file(tampered(repository.root)) },
  ],
  [
    'the trust root of another repository',
    'trust root',
    'fail',
    /the root of another repository/,
    { '/usr/share/tandem/root.json': file(stranger.root) },
  ],
  [
    'a trust root that is about to expire',
    'trust root',
    'warn',
    /expires in/,
    { '/usr/share/tandem/root.json': file(expiring.root) },
    { roots: new Map([[1, expiring.root]]) },
  ],
  [
    'no file for the token',
    'files',
    'fail',
    /\/etc\/shop\/token is missing; fleet\.token_file/,
    { [CONFIG]: configured('fleet.token_file = "/etc/shop/token"') },
  ],
  [
    'an authority without a certificate',
    'files',
    'fail',
    /no certificate in PEM/,
    { [CONFIG]: configured('repository.ca_file = "/etc/shop/ca.pem"'), '/etc/shop/ca.pem': file('none') },
  ],
  [
    'a token for everyone',
    'secrets',
    'warn',
    /Every user of a host can read \/etc\/shop\/token/,
    { [CONFIG]: configured('fleet.token_file = "/etc/shop/token"'), '/etc/shop/token': file('t') },
  ],
  ['no group', 'group', 'fail', /no group tandem/, { '/etc/group': file('root:x:0:\n') }],
  ['no machine id', 'machine id', 'fail', /missing/, { '/etc/machine-id': undefined }],
  [
    'a machine id that nothing keeps',
    'machine id',
    'fail',
    /no host keeps/,
    { '/usr/lib/tandem/tandem-machine-id': undefined },
  ],
  [
    'an uninitialized machine id',
    'machine id',
    'warn',
    /every start is a first/,
    { '/etc/machine-id': file('uninitialized\n') },
  ],
  ['one machine id for all', 'machine id', 'warn', /are one host/, { '/etc/machine-id': file(`${'ab'.repeat(16)}\n`) }],
  ['an invalid machine id', 'machine id', 'fail', /no valid ID/, { '/etc/machine-id': file('shop-17\n') }],
  ['a machine id on /var', 'machine id', 'fail', /is not a file/, { '/etc/machine-id': link('/var/machine-id') }],
  [
    'an SSH host key',
    'host keys',
    'warn',
    /ssh_host_ed25519_key is the same on every host/,
    { '/etc/ssh/ssh_host_ed25519_key': file('') },
  ],
  [
    'a writable root in fstab',
    'mounts',
    'fail',
    /mounts \/ writable/,
    fstab('LABEL=root / ext4 defaults 0 1', VAR, ESP, TMP),
  ],
  ['no /var', 'mounts', 'fail', /Nothing mounts \/var/, fstab(ESP, TMP)],
  ['/var in memory', 'mounts', 'fail', /\/var is in memory/, fstab('tmpfs /var tmpfs rw 0 0', ESP, TMP)],
  ['no folder for /var', 'mounts', 'fail', /^\/var must exist/, { '/var': undefined }],
  [
    'nothing that makes the state folder',
    'mounts',
    'warn',
    /Nothing creates \/var\/lib\/tandem/,
    { '/usr/lib/tmpfiles.d/tandem.conf': undefined },
  ],
  ['nothing on /tmp', 'mounts', 'warn', /Nothing is mounted on \/tmp/, fstab(VAR, ESP)],
  [
    'no ESP',
    'EFI partition',
    'fail',
    /Nothing mounts \/efi/,
    { ...fstab(VAR, TMP), '/etc/systemd/system/efi.mount': undefined },
  ],
  ['an ESP without dirsync', 'EFI partition', 'warn', /without dirsync/, fstab(VAR, ESP.replace(',dirsync', ''), TMP)],
  [
    'an ESP that is read-only',
    'EFI partition',
    'fail',
    /mounted read-only/,
    fstab(VAR, ESP.replace('umask', 'ro,umask'), TMP),
  ],
  [
    'an ESP that is not checked',
    'file system check',
    'warn',
    /without a file system check/,
    fstab(VAR, ESP.replace(/2$/, '0'), TMP),
  ],
  ['no fsck.vfat', 'file system check', 'warn', /fsck\.vfat is not installed/, { '/usr/sbin/fsck.vfat': undefined }],
  [
    'U-Boot without its list',
    'boot loader',
    'fail',
    /fw_env\.config lists no environment/,
    {
      [CONFIG]: configured('boot.backend = "uboot"'),
      '/usr/bin/fw_printenv': program(),
      '/usr/bin/fw_setenv': program(),
    },
  ],
  [
    'no clock',
    'clock',
    'warn',
    /No time synchronisation/,
    { [`${ETC}/sysinit.target.wants/systemd-timesyncd.service`]: undefined },
  ],
  [
    'no network',
    'network',
    'warn',
    /No known service/,
    { [`${ETC}/multi-user.target.wants/systemd-networkd.service`]: undefined },
  ],
  [
    'a network without a file',
    'network',
    'warn',
    /no \.network file/,
    { '/etc/systemd/network/10-wired.network': undefined },
  ],
  ['no resolver', 'network', 'warn', /resolv\.conf is missing/, { '/etc/resolv.conf': undefined }],
  ['an mtab that is a file', '/etc', 'warn', /mtab is a file/, { '/etc/mtab': file('') }],
  [
    'an SSH server that cannot make its key',
    '/etc',
    'warn',
    /no host key/,
    { [`${ETC}/multi-user.target.wants/ssh.service`]: link(`${SYSTEMD}/ssh.service`) },
  ],
  [
    'modules of another kernel',
    'kernel modules',
    'fail',
    /kernel is 6\.13\.0, but the tree has modules for 6\.12\.1-demo only/,
    {},
    {
      kernel: { name: 'vmlinuz', release: '6.13.0' },
      ...initrdWithout(`usr/lib/modules/${KERNEL}/kernel/drivers/md/dm-verity.ko.zst`, BUILTIN),
    },
  ],
  [
    'a kernel for another architecture',
    'kernel modules',
    'fail',
    /kernel is for arm64, but the tree is for x86-64/,
    {},
    { kernel: { name: 'vmlinuz', release: KERNEL, machine: 'arm64' } },
  ],
  ['no depmod', 'kernel modules', 'fail', /no modules\.dep/, { [`/usr/lib/modules/${KERNEL}/modules.dep`]: undefined }],
  [
    'a kernel without FAT',
    'kernel modules',
    'fail',
    /cannot mount vfat/,
    { [`/usr/lib/modules/${KERNEL}/modules.dep`]: file('') },
  ],
  [
    'too long a command line',
    'command line',
    'fail',
    /bytes with its root hash/,
    {},
    { commandLine: `${GOOD.commandLine} ${'x'.repeat(2000)}` },
  ],
  [
    'another root',
    'command line',
    'fail',
    /root=LABEL=root starts a root that is not verified/,
    {},
    { commandLine: `${GOOD.commandLine} root=LABEL=root` },
  ],
  ['a writable root', 'command line', 'warn', /rw asks for/, {}, { commandLine: `${GOOD.commandLine} rw` }],
  [
    'verity turned off',
    'command line',
    'fail',
    /systemd\.verity=no/,
    {},
    { commandLine: `${GOOD.commandLine} systemd.verity=no` },
  ],
  [
    'an init that is not there',
    'command line',
    'fail',
    /init=\/sbin\/mine/,
    {},
    { commandLine: `${GOOD.commandLine} init=/sbin/mine` },
  ],
  [
    'a rescue system',
    'command line',
    'warn',
    /without the agent/,
    {},
    { commandLine: `${GOOD.commandLine} systemd.unit=rescue.target` },
  ],
  ['an initrd without init', 'initrd', 'fail', /no \/init/, {}, initrdWithout('init')],
  [
    'an initrd without veritysetup',
    'initrd',
    'fail',
    /Nothing in it opens/,
    {},
    initrdWithout('usr/lib/systemd/systemd-veritysetup'),
  ],
  [
    'an initrd without its generator',
    'initrd',
    'fail',
    /Nothing in it opens/,
    {},
    initrdWithout('usr/lib/systemd/system-generators/systemd-veritysetup-generator'),
  ],
  [
    'an initrd without dm-verity',
    'initrd',
    'fail',
    /lacks the modules dm-verity/,
    {},
    initrdWithout(`usr/lib/modules/${KERNEL}/kernel/drivers/md/dm-verity.ko.zst`),
  ],
  [
    'an initrd without a file system',
    'initrd',
    'fail',
    /lacks the modules erofs/,
    { [`/usr/lib/modules/${KERNEL}/modules.builtin`]: undefined, ...fstab(VAR.replace('ext4', 'auto'), ESP, TMP) },
    {
      initrds: initrdOf(
        cpioArchive(SYSTEMD_INITRD.map((one) => (one.path === BUILTIN ? { ...one, content: '' } : one))),
      ),
    },
  ],
  [
    'an initrd of initramfs-tools',
    'initrd',
    'fail',
    /Nothing in it opens/,
    {},
    { initrds: initrdOf(cpioArchive([{ path: 'init', content: '#!/bin/sh\n' }, { path: 'scripts/local' }])) },
  ],
  [
    'an initrd that does not show what it does',
    'initrd',
    'unknown',
    /does not show/,
    { [`/usr/lib/modules/${KERNEL}/modules.builtin`]: file('ext4.ko\ndm-verity.ko\n') },
    { initrds: initrdOf(cpioArchive([{ path: 'init', content: 'mine' }])) },
  ],
  [
    'a truncated initrd',
    'initrd',
    'fail',
    /cut off/,
    {},
    { initrds: initrdOf(cpioArchive(SYSTEMD_INITRD).subarray(0, 500)) },
  ],
  [
    'a picture for an initrd',
    'initrd',
    'fail',
    /neither an archive nor/,
    {},
    { initrds: initrdOf(Buffer.from('\x89PNG\r\n\x1a\n')) },
  ],
];

/** A character within the signed part. */
function tampered(root: Uint8Array): string {
  return Buffer.from(root).toString().replace('"version":1', '"version":2');
}

test('the units that doctor wants are those that Tandem ships', () => {
  const systemd = join(import.meta.dirname, '../../../systemd');
  const preset = readFileSync(join(systemd, 'tandem.preset'), 'utf8');
  assert.deepEqual([...preset.matchAll(/^enable (.*)$/gm)].map(([, name]) => name).sort(), [...ENABLED_UNITS].sort());
  const units = readdirSync(systemd).filter((name) => /\.(service|timer|socket)$/.test(name));
  assert.deepEqual(units.sort(), [...ENABLED_UNITS, ...STARTED_UNITS].sort());
});

test('in a good tree, doctor finds nothing', async () => {
  const wrong = (await examine()).filter(({ result }) => result !== 'ok');
  assert.deepEqual(wrong, []);
});

test('the single executable does instead of the wrapper and its runtime', async () => {
  const { '/usr/lib/tandem/node': runtime } = goodTree(repository.root);
  const gone = { '/usr/lib/tandem/node': undefined, '/usr/lib/tandem/updatectl.js': undefined };
  const wrong = (await examine({ ...gone, '/usr/bin/updatectl': runtime })).filter(({ result }) => result !== 'ok');
  assert.deepEqual(wrong, []);
});

test('a library may be where ld.so.conf says, or next to the program', async () => {
  const library = file(elfFile({ provides: ['GLIBCXX_3.4.30'] }));
  const gone = { [`${LIB}/libstdc++.so.6`]: undefined };
  const origin = file(elfFile({ needed: ['libstdc++.so.6'], runPath: '$ORIGIN/lib' }), 0o755);
  const good: readonly Change[] = [
    {
      '/etc/ld.so.conf': file('include /etc/ld.so.conf.d/*.conf\n'),
      '/etc/ld.so.conf.d/shop.conf': file('# ours\n/opt/shop\n'),
      '/opt/shop/libstdc++.so.6': library,
    },
    { '/usr/lib/tandem/node': origin, '/usr/lib/tandem/lib/libstdc++.so.6': library },
  ];
  for (const change of good)
    assert.deepEqual(
      (await examine({ ...gone, ...change })).filter(({ result }) => result !== 'ok'),
      [],
    );
});

test('in a good tree for arm64, doctor finds nothing either, on any machine', async () => {
  const change = { '/usr/lib/x86_64-linux-gnu': undefined, ...goodTree(repository.root, 'arm64') };
  const wrong = (await examine(change, { architecture: 'arm64' })).filter(({ result }) => result !== 'ok');
  assert.deepEqual(wrong, []);
});

test('there are many faults, and every check finds one', async () => {
  assert.ok(FAULTS.length >= 60);
  const checks = new Set(FAULTS.map(([, check]) => check));
  assert.deepEqual(
    (await examine()).map(({ name }) => name).filter((name) => !checks.has(name)),
    [],
  );
});

for (const [fault, check, result, sentence, change, companions] of FAULTS)
  test(`${fault}: ${check}`, async () => {
    const wrong = (await examine(change, companions)).filter((one) => one.result !== 'ok');
    assertOnly(wrong, check, result, sentence);
  });
