/** What doctor finds on hosts that are set up wrong, each in one way. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import { findMount } from '../../../src/cli/doctor/mount-table.ts';
import { formatBootOption } from '../../../src/reboot/bootloaders/boot-option.ts';
import { findingsOn as examine, HEALTHY, MOUNTS, systemctl, TOOLS } from '../../support/doctor-host.ts';

test('a host that is set up right is told so', async () => {
  const found = await examine();
  const names = ['configuration', 'root file system', 'boot loader', 'trust root', 'metadata', 'clock', 'units'];
  for (const name of [...names, 'file system check'])
    assert.equal(found(name).result, 'ok', `${name}: ${found(name).sentence}`);
});

const FAST = {
  ...HEALTHY,
  '/etc/tandem/config.d/site.toml': `${HEALTHY['/etc/tandem/config.d/site.toml']}reboot.method = "auto"\n`,
  '/sys/kernel/kexec_loaded': '0\n',
  '/sys/kernel/security/lockdown': '[none] integrity\n',
};
const FAST_TOOLS = { ...TOOLS, systemctl: '257\n', kexec: '2', veritysetup: '2' };

test('a restart past the firmware is possible, or what stands in the way is named', async () => {
  assert.equal((await examine())('restart').result, 'ok');
  assert.equal((await examine(FAST, FAST_TOOLS))('restart').result, 'ok');
  const { kexec: _, ...without } = FAST_TOOLS;
  assert.match((await examine(FAST, without))('restart').sentence, /kexec is not installed/);
  const old = (await examine(FAST, { ...FAST_TOOLS, systemctl: '252\n' }))('restart');
  assert.match(old.sentence, /No restart by soft: systemd 252 is older/);
  const locked = { ...FAST, '/sys/kernel/security/lockdown': 'none [integrity]\n' };
  assert.match((await examine(locked, FAST_TOOLS))('restart').sentence, /No restart by kexec: the kernel is locked/);
  const flagged = (await examine({ ...FAST, '/run/tandem/firmware-refresh': '' }, FAST_TOOLS))('restart');
  assert.match(flagged.sentence, /firmware-refresh sends restarts/);
});

const siteWith = (line: string): string => `${HEALTHY['/etc/tandem/config.d/site.toml']}${line}\n`;
const UBOOT = { '/etc/tandem/config.d/site.toml': siteWith('boot.backend = "uboot"') };
const EFI = { '/etc/tandem/config.d/site.toml': siteWith('boot.backend = "efi-variables"') };
const ONE_COPY = '/dev/mmcblk0 0x100000 0x4000\n';
const EFIVARS = '/sys/firmware/efi/efivars';

/** As libubootenv reads it, too: twice on one device. */
const yaml = (...places: readonly string[]): string =>
  [
    'uboot:',
    '  size: 0x4000',
    '  devices:',
    ...places.map((place) => `    - path: /dev/mmcblk0\n      ${place}`),
    '',
  ].join('\n');

const GRUB = { '/etc/tandem/config.d/site.toml': siteWith('boot.backend = "grub"') };
const GRUB_ELSEWHERE = {
  '/etc/tandem/config.d/site.toml': siteWith('boot = { backend = "grub", grub_environment = "/boot/grub/grubenv" }'),
  '/boot/grub/grubenv': '# GRUB Environment Block\nORDER=a\na_OK=1\na_LEFT=0\nb_OK=0\nb_LEFT=0\n####',
};
const GRUBENV = '# GRUB Environment Block\nORDER=a\na_OK=1\na_LEFT=0\nb_OK=0\nb_LEFT=0\n####';
const STARTED_BY = `${EFIVARS}/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f`;
/** As systemd-boot leaves it: four bytes of attributes, UTF-16, a zero at the end. */
const LOADER_INFO = Buffer.from(
  '06000000730079007300740065006d0064002d0062006f006f00740020003200350037002e0034000000',
  'hex',
).toString('latin1');

const PI = { '/etc/tandem/config.d/site.toml': siteWith('boot.backend = "tryboot"') };
const PI_FILES = { ...PI, '/boot/a/config.txt': '', '/boot/b/config.txt': '' };
const FAT_OVER = (dir: string, how = 'rw'): string =>
  `${MOUNTS}40 22 179:1 / ${dir} ${how} - vfat /dev/mmcblk0p1 ${how},sync\n`;
const PROGRAM = { '/etc/tandem/config.d/site.toml': siteWith('boot.backend = "program"') };

type Files = Readonly<Record<string, string | undefined>>;
const WRONG: readonly (readonly [string, Files, Finding['result'], RegExp])[] = [
  ['configuration', { '/etc/tandem/config.d/site.toml': 'boot.trise = 1' }, 'fail', /Did you mean “tries”/],
  ['configuration', { '/etc/tandem/config.d/site.toml': '' }, 'fail', /host\.product is not set/],
  ['boot loader', { '/etc/tandem/config.d/site.toml': '' }, 'unknown', /^Not checked: the configuration has an error/],
  ['boot loader', { '/efi/loader/loader.conf': 'default other_*\n' }, 'fail', /./],
  ['boot loader', UBOOT, 'fail', /fw_env\.config is missing/],
  ['boot loader', { ...UBOOT, '/etc/fw_env.config': '# none\n' }, 'fail', /lists no environment/],
  ['boot loader', { ...UBOOT, '/etc/fw_env.config': ONE_COPY }, 'warn', /only one copy/],
  ['boot loader', EFI, 'fail', /has no variables/],
  ['boot loader', { ...GRUB, '/efi/EFI/tandem/grubenv': GRUBENV }, 'fail', /boots through a BIOS/],
  ['boot loader', { ...GRUB, [STARTED_BY]: '' }, 'fail', /damaged or missing/],
  ['boot loader', { ...GRUB, [STARTED_BY]: '', '/efi/EFI/tandem/grubenv': GRUBENV }, 'warn', /^Only one of/],
  [
    'boot loader',
    { ...GRUB_ELSEWHERE, [STARTED_BY]: '' },
    'warn',
    /in \/boot\/grub\/grubenv, but the grub\.cfg .* reads only \/efi\/EFI\/tandem\/grubenv/,
  ],
  ['boot loader', { ...UBOOT, '/etc/fw_env.config': ONE_COPY.repeat(2) }, 'warn', /only one copy/],
  [
    'boot loader',
    { ...UBOOT, '/etc/fw_env.config': `${ONE_COPY}/dev/mmcblk0\t1048576\t0x4000 # again\n` },
    'warn',
    /only one copy/,
  ],
  ['boot loader', { ...UBOOT, '/etc/fw_env.config': yaml('offset: 0x1000', 'offset: 4096') }, 'warn', /only one copy/],
  ['boot loader', PI, 'fail', /\/boot\/a has no config\.txt/],
  ['boot loader', PI_FILES, 'fail', /is not the FAT partition of autoboot\.txt/],
  [
    'boot loader',
    { ...PI_FILES, '/proc/self/mountinfo': FAT_OVER('/boot/autoboot', 'ro') },
    'fail',
    /mounted read-only/,
  ],
  ['boot loader', PROGRAM, 'fail', /boot\.program is not set/],
  ['EFI partition', PI, 'fail', /Nothing is mounted on \/boot\/a/],
  ['boot backend', {}, 'unknown', /No sign shows/],
  ['boot backend', { ...GRUB, [STARTED_BY]: LOADER_INFO }, 'warn', /systemd-boot 257\.4 started it/],
  [
    'boot backend',
    { [`${EFIVARS}/Boot0000`]: '', '/efi/EFI/tandem/grubenv': GRUBENV },
    'warn',
    /grub seems to fit: GRUB’s environment has flags/,
  ],
  [
    'boot loader',
    {
      ...EFI,
      [`${EFIVARS}/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c`]: '',
      '/proc/self/mountinfo': `${MOUNTS}33 22 0:30 / ${EFIVARS} ro - efivarfs efivarfs ro\n`,
    },
    'fail',
    /read-only/,
  ],
  ['root file system', { '/proc/self/mountinfo': MOUNTS.replaceAll(/ro,relatime|ro$/gm, 'rw') }, 'fail', /writable/],
  ['EFI partition', { '/proc/self/mountinfo': MOUNTS.replace('vfat', 'ext4') }, 'fail', /holds ext4, not vfat/],
  ['EFI partition', { '/proc/self/mountinfo': MOUNTS.replace('/efi', '/boot') }, 'fail', /Nothing is mounted/],
  [
    'EFI partition',
    { '/proc/self/mountinfo': MOUNTS.replace(',dirsync', '') },
    'warn',
    /\/efi is mounted without dirsync/,
  ],
  ['file system check', { '/etc/fstab': 'LABEL=ESP /efi/ vfat dirsync 0 0\n' }, 'warn', /without a file system check/],
  ['file system check', { '/etc/fstab': 'LABEL=ESP /efi vfat dirsync\n' }, 'warn', /without a file system check/],
  ['file system check', { '/etc/fstab': '#LABEL=ESP /efi vfat dirsync 0 2\n' }, 'unknown', /does not list \/efi/],
  ['file system check', { '/usr/sbin/fsck.vfat': undefined }, 'warn', /fsck\.vfat is not installed/],
  ['trust root', { '/usr/share/tandem/root.json': '{}' }, 'fail', /is not a trust root/],
  ['trust root', { '/usr/share/tandem/root.json': '{"expires":"2026-06-11T00:00:00Z"}' }, 'warn', /expires in/],
  ['metadata', { '/var/lib/tandem/metadata/timestamp.json': '{"expires":"2026-05-30T00:00:00Z"}' }, 'fail', /expired/],
  ['metadata', { '/var/lib/tandem/metadata/timestamp.json': 'torn' }, 'warn', /damaged/],
  [
    'clock',
    { '/var/lib/tandem/floors.json': '{"schema":1,"root":1,"meta":{},"counters":{},"issued":"2026-07-01T00:00:00Z"}' },
    'fail',
    /the signing time of metadata that was accepted here/,
  ],
];

for (const [name, changed, result, sentence] of WRONG)
  test(`${name}: ${result}, ${sentence.source}`, async () => {
    const found = (await examine({ ...HEALTHY, ...changed }))(name);
    assert.equal(found.result, result, found.sentence);
    assert.match(found.sentence, sentence);
    assert.ok(found.next);
  });

test('a Raspberry Pi with its three partitions is set up right', async () => {
  const found = await examine({ ...HEALTHY, ...PI_FILES, '/proc/self/mountinfo': FAT_OVER('/boot/autoboot') });
  assert.equal(found('boot loader').result, 'ok', found('boot loader').sentence);
});

test('a program of the user’s is said to be run where the agent does not run it', async () => {
  const site = siteWith('boot = { backend = "program", program = "/usr/lib/shop/boot" }');
  const { result, sentence } = (await examine({ ...HEALTHY, '/etc/tandem/config.d/site.toml': site }))('boot loader');
  assert.equal(result, 'ok');
  assert.match(
    sentence,
    /^\/usr\/lib\/shop\/boot stands in .* outside the agent’s sandbox \(docs\/boot-program\.md\)\.$/,
  );
});

test('every FAT partition that holds kernels or flags must be mounted with dirsync', async () => {
  const mounts = ['autoboot', 'a', 'b'].map((name, index) => ({ dir: `/boot/${name}`, line: 40 + index }));
  const mounted = (without?: string): string =>
    mounts
      .map(({ dir, line }) => `${line} 22 179:1 / ${dir} rw - vfat /dev/sd rw${dir === without ? '' : ',dirsync'}\n`)
      .join('');
  for (const { dir } of mounts) {
    const found = await examine({ ...HEALTHY, ...PI_FILES, '/proc/self/mountinfo': `${MOUNTS}${mounted(dir)}` });
    assert.match(found('EFI partition').sentence, new RegExp(`^${dir} is mounted without dirsync`));
  }
});

test('GRUB with two whole copies of its environment is set up right, and fits', async () => {
  const found = await examine({
    ...HEALTHY,
    ...GRUB,
    [`${EFIVARS}/Boot0000`]: '',
    '/efi/EFI/tandem/grubenv': GRUBENV,
    '/efi/EFI/tandem/grubenv2': GRUBENV,
  });
  assert.equal(found('boot loader').result, 'ok');
  assert.equal(found('boot backend').result, 'ok');
});

test('systemd-boot is known by what it has left in the firmware’s variables', async () => {
  const found = await examine({ ...HEALTHY, [STARTED_BY]: LOADER_INFO });
  assert.equal(found('boot backend').sentence, 'systemd-boot fits: systemd-boot 257.4 started it.');
});

test('firmware that has started the kernel of a slot fits, and another kernel does not', async () => {
  const started = (file: string): Promise<(name: string) => Finding> => {
    const option = Buffer.from(formatBootOption('any', new Uint8Array(0), file)).toString('latin1');
    const variable = (name: string): string => `${EFIVARS}/${name}-8be4df61-93ca-11d2-aa0d-00e098032b8c`;
    const variables = { [variable('BootCurrent')]: '\x06\0\0\0\x1a\0', [variable('Boot001A')]: `\x07\0\0\0${option}` };
    return examine({ ...HEALTHY, ...EFI, ...variables });
  };
  assert.equal((await started('\\EFI\\tandem\\b.efi'))('boot backend').result, 'ok');
  assert.equal((await started('\\EFI\\debian\\shimx64.efi'))('boot backend').result, 'unknown');
});

test('U-Boot with two copies of its environment is set up right', async () => {
  const flat = `${ONE_COPY}# the other\n/dev/mmcblk0 0x104000 0x4000\n`;
  const negative = '/dev/mmcblk0 -0x8000 0x4000\n/dev/mmcblk0 -0x4000 0x4000\n';
  for (const config of [flat, negative, yaml('offset: 0x0', 'offset: 0x4000')]) {
    const found = await examine({ ...HEALTHY, ...UBOOT, '/etc/fw_env.config': config });
    assert.equal(found('boot loader').result, 'ok', config);
  }
  const found = await examine({ ...HEALTHY, ...UBOOT, '/etc/fw_env.config': flat });
  assert.match(found('boot backend').sentence, /^uboot fits: the location of/);
});

test('what could not be looked at is not called wrong', async () => {
  const found = await examine(HEALTHY, {});
  assert.equal(found('clock').result, 'unknown');
  assert.equal(found('units').result, 'unknown');
});

test('units that are switched off are named', async () => {
  const found = await examine(HEALTHY, {
    ...TOOLS,
    systemctl: systemctl({ 'is-enabled': 'enabled\ndisabled\nenabled\nenabled\nenabled\n' }),
  });
  assert.match(found('units').sentence, /^Not enabled: tandem-confirm\.service\.$/);
});

test('the mount of a path is the longest above it, and the last of those', () => {
  assert.equal(findMount(MOUNTS, '/var/lib/tandem')?.type, 'ext4');
  assert.equal(findMount(MOUNTS, '/variable')?.path, '/');
  assert.deepEqual(findMount(MOUNTS, '/efi/EFI')?.options, ['rw', 'relatime', 'rw', 'dirsync', 'fmask=0077']);
  assert.equal(findMount(MOUNTS, '/var/my disk/x')?.device, '254:6');
  assert.equal(findMount(`${MOUNTS}33 31 0:9 / /efi rw - tmpfs none rw\n`, '/efi')?.type, 'tmpfs');
  assert.equal(findMount('', '/'), undefined);
});

test('metadata that has expired is wrong: nothing can be installed', async () => {
  const found = await examine({
    ...HEALTHY,
    '/var/lib/tandem/metadata/timestamp.json': '{"signed":{"expires":"2026-05-29T00:00:00Z"}}',
  });
  const { result, sentence, next } = found('metadata');
  assert.equal(result, 'fail');
  assert.match(sentence, /expired .* ago, so this host installs nothing/);
  assert.match(next ?? '', /updatectl check/);
});

test('where the configuration is wrong no other check speaks of what it lacks', async () => {
  const typo = `${HEALTHY['/etc/tandem/config.d/site.toml']}boot.trise = 3\n`;
  const files = { ...HEALTHY, '/etc/tandem/config.d/site.toml': typo };
  assert.match((await examine(files))('configuration').sentence, /boot\.trise/);
  const broken = await examine({ ...HEALTHY, '/etc/tandem/config.d/site.toml': 'host = {' });
  assert.equal(broken('configuration').result, 'fail');
  const { result, sentence } = broken('boot loader');
  assert.deepEqual([result, sentence], ['unknown', 'Not checked: the configuration has an error.']);
});
