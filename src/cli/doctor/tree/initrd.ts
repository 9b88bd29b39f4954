/** Whether an initrd can open a verified root. */

import { asUpdateError } from '../../../errors.ts';
import type { CpioEntry } from '../../../formats/cpio.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { initrdTree, readInitrd } from '../../../system/disk/initrd.ts';
import { type Finding, fail, ok, unknown } from '../finding.ts';
import { builtinIn, moduleName } from './kernel.ts';
import type { TreeWorld } from './world.ts';

type Files = ReadonlyMap<string, CpioEntry>;

/** All initrds together, as the kernel unpacks them one over the other. */
export async function initrd(world: TreeWorld): Promise<Finding> {
  const files = new Map<string, CpioEntry>();
  for (const { name, source } of world.with.initrds ?? []) {
    try {
      for (const [path, entry] of await readInitrd(source, isKept, world.signal)) files.set(path, entry);
    } catch (error) {
      const { code, message, entry } = asUpdateError(error);
      if (code === 'tool-missing') return unknown(`${name} was not read: ${message}`, entry.next);
      if (code === 'source-unreadable') return fail(`${name}: ${message}`, 'Build it again.');
      throw error;
    }
  }
  return judgeInitrd(world, files, initrdTree(files));
}

/** What decides: the first program, if it may be somebody's own, and the lists of modules. */
const isKept = (path: string, size: number): boolean =>
  size <= 4 * 1024 * 1024 && (path === 'init' || /\/modules\.builtin$/.test(path));

async function judgeInitrd(world: TreeWorld, files: Files, inside: FileTree): Promise<Finding> {
  if (!(await inside.entry('/init')))
    return fail('It has no /init, so nothing in it is started.', 'Build it with dracut, or pass the right file.');
  const strange = strangeModules(world, files);
  if (strange !== undefined) return strange;
  const opener = await openerIn(files, inside);
  const modules = await lackingModules(world, files);
  if (opener === 'nothing')
    return fail(
      'Nothing in it opens a verified root.',
      'Build it with dracut and its module systemd-veritysetup (Debian packages dracut and systemd-cryptsetup): docs/own-image.md.',
    );
  if (modules.length > 0)
    return fail(`It lacks the modules ${modules.join(', ')}.`, 'Build it with dracut --add-drivers, naming them.');
  if (opener === 'unknown')
    return unknown('It does not show whether it opens a verified root.', 'Start the image once to find out.');
  return ok(`${opener} opens the root.`);
}

async function openerIn(files: Files, inside: FileTree): Promise<string> {
  const has = async (path: string): Promise<boolean> => (await inside.find(path)) !== undefined;
  const isSystemd = (await has('/usr/lib/systemd/systemd')) || (await has('/lib/systemd/systemd'));
  if (isSystemd) {
    const tools = ['systemd-veritysetup', 'system-generators/systemd-veritysetup-generator'];
    for (const tool of tools)
      if (!(await has(`/usr/lib/systemd/${tool}`)) && !(await has(`/lib/systemd/${tool}`))) return 'nothing';
    return 'systemd-veritysetup';
  }
  if (Buffer.from(files.get('init')?.content ?? []).includes('roothash')) return 'Its own /init';
  const tools = ['/usr/sbin/veritysetup', '/sbin/veritysetup', '/usr/bin/veritysetup', '/bin/veritysetup'];
  for (const tool of tools) if (await has(tool)) return 'unknown';
  // A program of one's own may hide anything; scripts of distributions do not.
  return (await has('/scripts')) || (await has('/usr/lib/dracut')) || (await has('/lib/dracut'))
    ? 'nothing'
    : 'unknown';
}

/** Modules for another kernel would not load. */
function strangeModules({ with: { kernel } }: TreeWorld, files: Files): Finding | undefined {
  const releases = new Set(
    [...files.keys()].flatMap((path) => /^(?:usr\/)?lib\/modules\/([^/]+)\/kernel\//.exec(path)?.[1] ?? []),
  );
  if (kernel?.release === undefined || releases.size === 0 || releases.has(kernel.release)) return undefined;
  return fail(
    `It has modules for ${[...releases].join(', ')}, but the kernel is ${kernel.release}.`,
    'Pass the initrd that belongs to the kernel.',
  );
}

/** Without a list of what is built in, no module is known to be missing. */
async function lackingModules({ tree, with: { kernel } }: TreeWorld, files: Files): Promise<string[]> {
  const listed = [...files]
    .filter(([path]) => path.endsWith('/modules.builtin'))
    .map(([, { content }]) => new TextDecoder().decode(content));
  const releases = kernel?.release === undefined ? await tree.list('/usr/lib/modules') : [kernel.release];
  if (listed.length === 0 && releases.length === 1)
    listed.push(
      ...[await tree.readHead(`/usr/lib/modules/${releases[0]}/modules.builtin`, 8 * 1024 * 1024)].flatMap((bytes) =>
        bytes ? [new TextDecoder().decode(bytes)] : [],
      ),
    );
  if (listed.length === 0) return [];
  const known = new Set([
    ...listed.flatMap(builtinIn),
    ...[...files.keys()].filter((path) => /\.ko(\.(xz|zst|gz))?$/.test(path)).map(moduleName),
  ]);
  return [
    ...(known.has('dm_verity') ? [] : ['dm-verity']),
    ...(known.has('erofs') || known.has('ext4') ? [] : ['erofs']),
  ];
}
