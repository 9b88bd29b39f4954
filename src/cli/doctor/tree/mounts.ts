/** Whether a system with a read-only root mounts what it writes to, and mounts the kernels' partitions safely. */

import { type FstabEntry, parseFstab } from '../../../formats/fstab.ts';
import { mountUnit, unitValues } from '../../../formats/unit-file.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { kernelPlaces } from '../esp.ts';
import { type Finding, fail, ok, unknown, warn } from '../finding.ts';
import { fileSystemCheck } from '../fsck.ts';
import { isInImage } from './configuration.ts';
import { missingFolders } from './runtime.ts';
import type { TreeWorld } from './world.ts';

/** State that must survive a restart is on /var; /tmp must be writable; the root must not be made so. */
export async function writableFolders(world: TreeWorld): Promise<Finding> {
  const fstab = await fstabOf(world.tree);
  for (const fault of [rootFault, folderFault, varFault, stateFault, temporaryFault]) {
    const found = await fault(world, fstab);
    if (found) return found;
  }
  return ok('/var is mounted, and /tmp is writable.');
}

type Fault = (world: TreeWorld, fstab: readonly FstabEntry[]) => Promise<Finding | undefined>;

const rootFault: Fault = async (_world, fstab) => {
  const root = fstab.find(({ path }) => path === '/');
  if (!root || root.options.includes('ro')) return undefined;
  return fail(
    '/etc/fstab mounts / writable, which fails on a verified root: every release would be condemned.',
    'Remove the line of / from /etc/fstab, or add the option ro.',
  );
};

const folderFault: Fault = async ({ tree }, fstab) => {
  const listed = fstab.map(({ path }) => path).filter((path) => path.startsWith('/') && isInImage(path));
  const missing = await missingFolders(tree, ['/var', ...listed]);
  if (missing.length === 0) return undefined;
  return fail(
    `${missing.join(', ')} must exist to be mounted on: the root is read-only.`,
    'Create these folders in the tree, empty.',
  );
};

const varFault: Fault = async ({ tree, units }, fstab) => {
  const state = fstab.find(({ path }) => path === '/var');
  if (state?.type === 'tmpfs')
    return fail('/var is in memory: the agent forgets everything at every start.', 'Mount a partition on /var.');
  if (state?.options.includes('ro')) return fail('/etc/fstab mounts /var read-only.', 'Remove the option ro.');
  return state || (await units.texts('var.mount')) ? undefined : noVar(tree);
};

const stateFault: Fault = async ({ tree }) =>
  (await hasStateFolder(tree))
    ? undefined
    : warn(
        'Nothing creates /var/lib/tandem before the agent first runs: the dead man looks for its marker there.',
        'Install systemd/tandem.tmpfiles as /usr/lib/tmpfiles.d/tandem.conf.',
      );

const temporaryFault: Fault = async ({ tree, units }, fstab) => {
  const isMounted = fstab.some(({ path }) => path === '/tmp') || (await units.isEnabled('tmp.mount'));
  if (isMounted || (await tree.entry('/tmp'))?.kind === 'link') return undefined;
  return warn(
    'Nothing is mounted on /tmp, which is read-only then.',
    'Run `systemctl --root=TREE enable tmp.mount`, or add a tmpfs to /etc/fstab.',
  );
};

async function hasStateFolder(tree: FileTree): Promise<boolean> {
  for (const dir of ['/usr/lib/tmpfiles.d', '/etc/tmpfiles.d'])
    for (const name of await tree.list(dir)) {
      const bytes = name.endsWith('.conf')
        ? await tree.readHead(`${dir}/${name}`, 64 * 1024).catch(() => undefined)
        : undefined;
      if (/^[dD]\S*\s+\/var\/lib\/tandem\/?\s/m.test(new TextDecoder().decode(bytes))) return true;
    }
  return false;
}

const noVar = async (tree: FileTree): Promise<Finding> =>
  (await tree.find(GPT_AUTO))
    ? unknown(
        'Nothing in the tree mounts /var; systemd does so only if the partition has the UUID that belongs to the machine id.',
        'Add a line to /etc/fstab: PARTLABEL=var /var ext4 defaults 0 2.',
      )
    : fail(
        'Nothing mounts /var, so the agent has nowhere to keep its state.',
        'Add a line to /etc/fstab: PARTLABEL=var /var ext4 defaults 0 2.',
      );

const GPT_AUTO = '/usr/lib/systemd/system-generators/systemd-gpt-auto-generator';

/** As on a host, but before anything is mounted. */
export async function kernelPartitions({ tree, units, config: { boot } }: TreeWorld): Promise<Finding> {
  const fstab = await fstabOf(tree);
  for (const { dir, key } of kernelPlaces(boot)) {
    const mount = fstab.find(({ path }) => path === dir) ?? (await mountOf(units, dir));
    if (!mount) return notMounted(tree, dir, key);
    if (!['vfat', 'msdos', 'auto', ''].includes(mount.type))
      return fail(`${dir} is mounted as ${mount.type}, not vfat.`, 'The firmware reads only FAT.');
    if (mount.options.includes('ro')) return fail(`${dir} is mounted read-only.`, 'Remove the option ro.');
    if (!mount.options.some((option) => option === 'dirsync' || option === 'sync'))
      return warn(
        `${dir} is mounted without dirsync: a power cut during a rename may leave the file without any name.`,
        'Add the option dirsync.',
      );
  }
  return ok(
    `Mounted on ${kernelPlaces(boot)
      .map(({ dir }) => dir)
      .join(' and ')}, with dirsync.`,
  );
}

const notMounted = async (tree: FileTree, dir: string, key: string): Promise<Finding> =>
  (await tree.find(GPT_AUTO)) && (dir === '/efi' || dir === '/boot')
    ? warn(
        `Only systemd-gpt-auto-generator would mount ${dir}: later than the agent needs it, and without dirsync.`,
        `Add a line to /etc/fstab: PARTLABEL=esp ${dir} vfat umask=0077,dirsync 0 2.`,
      )
    : fail(
        `Nothing mounts ${dir}.`,
        `Add a line to /etc/fstab: PARTLABEL=esp ${dir} vfat umask=0077,dirsync 0 2, or set ${key}.`,
      );

/** A mount unit, as the same line in /etc/fstab. */
async function mountOf(units: TreeWorld['units'], path: string): Promise<FstabEntry | undefined> {
  const name = mountUnit(path);
  const texts = await units.texts(name);
  const isStarted = (await units.isEnabled(name)) || (await units.isEnabled(name.replace(/mount$/, 'automount')));
  if (!texts || !isStarted) return undefined;
  const value = (key: string): string => unitValues(texts, 'Mount', key).at(-1) ?? '';
  return { device: value('What'), path, type: value('Type'), options: value('Options').split(','), pass: 0 };
}

/** Silent about a partition that is not mounted at all, which another check reports. */
export async function checkedBeforeMount({ tree, units, config }: TreeWorld): Promise<Finding | undefined> {
  const fstab = await fstabOf(tree);
  for (const { dir } of kernelPlaces(config.boot))
    if (!fstab.some(({ path }) => path === dir) && !(await mountOf(units, dir))) return undefined;
  return await fileSystemCheck({ files: tree }, config);
}

export async function fstabOf(tree: FileTree): Promise<readonly FstabEntry[]> {
  return parseFstab(new TextDecoder().decode(await tree.readHead('/etc/fstab', 64 * 1024)));
}

/** What some programs expect to write below /etc. */
export async function readOnlyEtc({ tree, units }: TreeWorld): Promise<Finding> {
  const mtab = await tree.entry('/etc/mtab');
  if (mtab && mtab.kind !== 'link')
    return warn('/etc/mtab is a file, which mount cannot update.', 'Make it a link to ../proc/self/mounts.');
  const resolver = await tree.entry('/etc/resolv.conf');
  if (resolver?.kind === 'file' && (await units.isEnabled('systemd-resolved.service')))
    return warn(
      '/etc/resolv.conf is a file, so programs ignore systemd-resolved.',
      'Make it a link to ../run/systemd/resolve/stub-resolv.conf.',
    );
  const hasKeys = (await tree.list('/etc/ssh')).some((name) => /^ssh_host_.*_key$/.test(name));
  const isServed = (await units.isEnabled('ssh.service')) || (await units.isEnabled('sshd.service'));
  if (isServed && !hasKeys && !(await hasKeysElsewhere(tree)))
    return warn(
      'The SSH server has no host key, and cannot make one in a read-only /etc.',
      'Set HostKey in /etc/ssh/sshd_config.d to a path below /var, and make the key there at the first start.',
    );
  return ok('Nothing is known to write below /etc.');
}

async function hasKeysElsewhere(tree: FileTree): Promise<boolean> {
  const drops = (await tree.list('/etc/ssh/sshd_config.d')).map((name) => `/etc/ssh/sshd_config.d/${name}`);
  for (const path of ['/etc/ssh/sshd_config', ...drops]) {
    const bytes = await tree.readHead(path, 64 * 1024).catch(() => undefined);
    if (/^\s*HostKey\s+\/(?!etc\/)/im.test(new TextDecoder().decode(bytes))) return true;
  }
  return false;
}
