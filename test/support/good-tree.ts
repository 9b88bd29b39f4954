/** A file tree in which doctor finds nothing wrong, as small as possible, in memory or in a folder. */

import { readFileSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { type FileTree, fileTree, type TreeNode } from '../../src/system/disk/file-tree.ts';
import { ARM64, type ElfParts, elfFile, X86_64 } from './elf.ts';

/** A file, a link, or something stranger. Folders need no entry, unless they are empty. */
export type TreeItem =
  | Readonly<{ text: string | Uint8Array; mode?: number; size?: number }>
  | Readonly<{ to: string }>
  | Readonly<{ kind: 'folder' | 'pipe' | 'socket' | 'character device' }>;

/** By absolute path. */
export type TreeSpec = Readonly<Record<string, TreeItem>>;

export const file = (text: string | Uint8Array, mode = 0o644): TreeItem => ({ text, mode });
export const program = (text = '#!/bin/sh\nexit 0\n'): TreeItem => file(text, 0o755);
export const link = (to: string): TreeItem => ({ to });
export const folder: TreeItem = { kind: 'folder' };

const SYSTEMD = '/usr/lib/systemd/system';

type Machine = 'x86-64' | 'arm64';
const MACHINES: Readonly<Record<Machine, Readonly<{ machine: number; libraries: string; loader: string }>>> = {
  'x86-64': { machine: X86_64, libraries: '/usr/lib/x86_64-linux-gnu', loader: '/lib64/ld-linux-x86-64.so.2' },
  arm64: { machine: ARM64, libraries: '/usr/lib/aarch64-linux-gnu', loader: '/lib/ld-linux-aarch64.so.1' },
};

export const KERNEL = '6.12.1-demo';

/** What systemd/ ships, where the package puts it. */
const shipped = (name: string): string => readFileSync(join(import.meta.dirname, '../../systemd', name), 'utf8');

const programs = [
  'cat',
  'grep',
  'head',
  'mv',
  'od',
  'sed',
  'sync',
  'systemctl',
  'tail',
  'tr',
  'dash',
  'systemd-notify',
  'systemd-run',
  'busctl',
];

const UNITS = {
  'tandem-agent.service': 'multi-user.target.wants',
  'tandem-confirm.service': 'boot-complete.target.requires',
  'tandem-dead-man.timer': 'sysinit.target.wants',
  'tandem-trial-began.service': 'sysinit.target.wants',
  'tandem-machine-id.service': 'sysinit.target.wants',
};

/** `root`: the repository's root.json. */
export function goodTree(root: Uint8Array, architecture: Machine = 'x86-64'): TreeSpec {
  const { machine, libraries, loader } = MACHINES[architecture];
  const elf = (parts: ElfParts = {}): Buffer => elfFile({ machine, ...parts });
  const binary = elf({ interpreter: loader, needed: ['libc.so.6'], requires: { 'libc.so.6': ['GLIBC_2.34'] } });
  const runtime = elf({
    interpreter: loader,
    needed: ['libatomic.so.1', 'libstdc++.so.6', 'libc.so.6'],
    requires: { 'libstdc++.so.6': ['GLIBCXX_3.4.30'], 'libc.so.6': ['GLIBC_2.2.5', 'GLIBC_2.34'] },
  });
  const libc = elf({ provides: ['GLIBC_2.2.5', 'GLIBC_2.34'] });
  return {
    ...treeFiles(root, binary),
    '/usr/lib/systemd/systemd': file(binary, 0o755),
    [`/usr${loader}`]: file(elf(), 0o755),
    [`${libraries}/libc.so.6`]: file(libc),
    [`${libraries}/libatomic.so.1`]: link('libatomic.so.1.2.0'),
    [`${libraries}/libatomic.so.1.2.0`]: file(elf({ needed: ['libc.so.6'] })),
    [`${libraries}/libstdc++.so.6`]: file(elf({ provides: ['GLIBCXX_3.4', 'GLIBCXX_3.4.30'] })),
    '/usr/lib/tandem/node': file(runtime, 0o755),
  };
}

const treeFiles = (root: Uint8Array, binary: Uint8Array): TreeSpec => ({
  ...Object.fromEntries(['proc', 'sys', 'dev', 'run', 'var', 'tmp', 'efi', 'root'].map((name) => [`/${name}`, folder])),
  '/bin': link('usr/bin'),
  '/sbin': link('usr/sbin'),
  '/lib': link('usr/lib'),
  '/lib64': link('usr/lib64'),
  '/usr/lib64': folder,
  '/usr/sbin/init': link('../lib/systemd/systemd'),
  ...Object.fromEntries(programs.map((name) => [`/usr/bin/${name}`, file(binary, 0o755)])),
  '/usr/bin/sh': link('dash'),
  '/usr/sbin/fsck.vfat': file(binary, 0o755),
  '/usr/bin/updatectl': program('#!/bin/sh\nexec /usr/lib/tandem/node /usr/lib/tandem/updatectl.js "$@"\n'),
  '/usr/lib/tandem/updatectl.js': file('// the program\n'),
  '/usr/lib/tandem/tandem-dead-man': program(shipped('tandem-dead-man')),
  '/usr/lib/tandem/tandem-machine-id': program(shipped('tandem-machine-id')),
  '/usr/lib/tandem/config.d/10-shop.toml': file('host.product = "shop"\nrepository.url = "https://updates.example/"\n'),
  '/usr/lib/tandem/health.d/required/shop': program(),
  '/usr/lib/tandem/pre-reboot.d/10-drain': program(),
  '/usr/share/tandem/root.json': file(root),
  ...Object.fromEntries(
    [...Object.keys(UNITS), 'tandem-dead-man.service', 'tandem-jump@.service'].map((name) => [
      `${SYSTEMD}/${name}`,
      file(shipped(name)),
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(UNITS).map(([name, dir]) => [`/etc/systemd/system/${dir}/${name}`, link(`${SYSTEMD}/${name}`)]),
  ),
  [`${SYSTEMD}/systemd-bless-boot.service`]: file('[Service]\nExecStart=/usr/lib/systemd/systemd-bless-boot good\n'),
  [`${SYSTEMD}/systemd-bless-boot.service.d/10-tandem.conf`]: file(shipped('systemd-bless-boot.conf')),
  '/usr/lib/tmpfiles.d/tandem.conf': file(shipped('tandem.tmpfiles')),
  [`${SYSTEMD}/systemd-timesyncd.service`]: file('[Service]\n'),
  '/etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service': link(`${SYSTEMD}/systemd-timesyncd.service`),
  [`${SYSTEMD}/systemd-networkd.service`]: file('[Service]\n'),
  '/etc/systemd/system/multi-user.target.wants/systemd-networkd.service': link(`${SYSTEMD}/systemd-networkd.service`),
  '/etc/systemd/network/10-wired.network': file('[Match]\nName=en*\n[Network]\nDHCP=yes\n'),
  '/etc/resolv.conf': link('../run/systemd/resolve/stub-resolv.conf'),
  '/etc/systemd/system/default.target': link(`${SYSTEMD}/multi-user.target`),
  '/etc/os-release': link('../usr/lib/os-release'),
  '/usr/lib/os-release': file('ID=shop\nIMAGE_VERSION=2.1\n'),
  '/etc/machine-id': file(''),
  '/etc/group': file('root:x:0:\ntandem:x:999:\n'),
  '/etc/fstab': file(
    'PARTLABEL=var /var ext4 nosuid 0 2\nPARTLABEL=esp /efi vfat umask=0077,dirsync 0 2\ntmpfs /tmp tmpfs nosuid 0 0\n',
  ),
  [`/usr/lib/modules/${KERNEL}/modules.dep`]: file(
    'kernel/fs/fat/vfat.ko.xz: kernel/fs/fat/fat.ko.xz\nkernel/fs/fat/fat.ko.xz:\n',
  ),
  [`/usr/lib/modules/${KERNEL}/modules.builtin`]: file('kernel/fs/ext4/ext4.ko\n'),
});

/** The tree in memory. */
export function memoryTree(spec: TreeSpec): FileTree {
  const names = new Map<string, Set<string>>([['/', new Set()]]);
  for (const path of Object.keys(spec))
    for (let at = path; at !== '/'; at = posix.dirname(at))
      names.set(posix.dirname(at), (names.get(posix.dirname(at)) ?? new Set()).add(posix.basename(at)));
  return fileTree<string>({
    root: '/',
    child: async (dir, name) => (names.get(dir)?.has(name) ? posix.join(dir, name) : undefined),
    node: async (path) => nodeOf(spec[path]),
    names: async (dir) => [...(names.get(dir) ?? [])],
    target: async (path) => {
      const item = spec[path];
      return item !== undefined && 'to' in item ? item.to : '';
    },
    read: async (path, offset, length) => {
      const item = spec[path];
      return item !== undefined && 'text' in item
        ? Buffer.from(item.text).subarray(offset, offset + length)
        : Buffer.alloc(0);
    },
  });
}

function nodeOf(item: TreeItem | undefined): TreeNode {
  const bare = { size: 0, mode: 0o755, device: 0 };
  if (item === undefined) return { kind: 'folder', ...bare };
  if ('to' in item) return { kind: 'link', ...bare };
  if ('kind' in item) return { ...bare, kind: item.kind };
  return { kind: 'file', size: item.size ?? Buffer.byteLength(item.text), mode: item.mode ?? 0o644, device: 0 };
}

/** The tree in a folder; without devices and sockets. */
export async function writeTree(top: string, spec: TreeSpec): Promise<void> {
  for (const [path, item] of Object.entries(spec)) {
    const at = join(top, path);
    await mkdir(dirname(at), { recursive: true });
    if ('to' in item) await symlink(item.to, at);
    else if ('text' in item) {
      await writeFile(at, item.text);
      await chmod(at, item.mode ?? 0o644);
    } else await mkdir(at, { recursive: true });
  }
}
