/** Whether kernel, command line and tree belong together. */

import { commandLineValues, commandLineWords } from '../../../formats/pe.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { type Finding, fail, ok, unknown, warn } from '../finding.ts';
import { elfAt } from './elf-files.ts';
import { fstabOf } from './mounts.ts';
import { INIT } from './runtime.ts';
import type { TreeWorld } from './world.ts';

/** A kernel keeps this much, with the final zero byte: COMMAND_LINE_SIZE of x86-64 and arm64. */
const COMMAND_LINE = 2048;
const ROOT_HASH = ' roothash='.length + 64;

export async function commandLine({ tree, with: { commandLine: text = '' } }: TreeWorld): Promise<Finding> {
  const length = Buffer.byteLength(text.trim()) + (/(^|\s)roothash=/.test(text) ? 0 : ROOT_HASH);
  if (length >= COMMAND_LINE)
    return fail(
      `It has ${length} bytes with its root hash, but a kernel keeps only the first ${COMMAND_LINE - 1}.`,
      'Shorten it.',
    );
  const words = commandLineWords(text);
  const value = (key: string): string | undefined => commandLineValues(text, key).at(-1);
  const root = value('root');
  if (root !== undefined && !/^\/dev\/mapper\/(root|usr)$|^(dissect|tmpfs|gpt-auto)$/.test(root))
    return fail(
      `root=${root} starts a root that is not verified, or none: the root hash names the slot.`,
      'Remove root= from the command line.',
    );
  const verity = value('systemd.verity') ?? value('rd.systemd.verity');
  if (verity !== undefined && /^(0|no|off|false)$/.test(verity))
    return fail('systemd.verity=no keeps the initrd from opening the root.', 'Remove it from the command line.');
  if (words.includes('rw'))
    return warn(
      'rw asks for a writable root, which a verified root cannot be.',
      'Replace rw by ro in the command line.',
    );
  const init = value('init');
  if (init !== undefined && (await tree.find(init))?.kind !== 'file')
    return fail(`init=${init} names a program that the tree lacks.`, 'Remove init= from the command line.');
  const target =
    value('systemd.unit') ?? words.find((word) => ['single', 'rescue', 'emergency', '1', 's', 'S'].includes(word));
  if (target !== undefined && !/^(multi-user|graphical|default)\.target$/.test(target))
    return warn(`${target} starts a system without the agent.`, 'Remove it from the command line.');
  return ok(`${length} bytes of at most ${COMMAND_LINE - 1}.`);
}

const MODULES = '/usr/lib/modules';

/** The modules of the kernel that the tree is started with. */
export async function kernelModules({ tree, with: { kernel } }: TreeWorld): Promise<Finding> {
  const init = await elfAt(tree, INIT);
  const machine = init === undefined || init === 'damaged' ? undefined : init.machine;
  if (kernel?.machine !== undefined && machine !== undefined && kernel.machine !== machine)
    return fail(
      `The kernel is for ${kernel.machine}, but the tree is for ${machine}.`,
      'Pass the kernel that belongs to the tree.',
    );
  const releases = await tree.list(MODULES);
  const [first] = releases;
  const release = kernel?.release ?? (releases.length === 1 ? first : undefined);
  if (first === undefined)
    return unknown(
      `${MODULES} is empty: the kernel must have everything built in.`,
      'Check that it mounts FAT and the file system of /var.',
    );
  if (release === undefined)
    return unknown(`There are modules for ${releases.join(', ')}; which kernel starts is not known.`, 'Pass --kernel.');
  if (!releases.includes(release))
    return fail(
      `The kernel is ${release}, but the tree has modules for ${releases.join(', ')} only.`,
      'Install the package of this kernel in the tree.',
    );
  const known = await modulesOf(tree, release);
  if (!known)
    return fail(
      `${MODULES}/${release} has no modules.dep, so no module is found.`,
      `Run \`depmod -b TREE ${release}\`.`,
    );
  const missing = (await mountedTypes(tree)).filter((type) => !known.has(type));
  if (missing.length > 0 && !(await tree.find(`${MODULES}/${release}/modules.builtin`)))
    return unknown(
      `${missing.join(', ')} must be built into the kernel ${release}; the tree does not say whether that is so.`,
      'Put the file modules.builtin of the kernel’s package into the tree.',
    );
  if (missing.length > 0)
    return fail(
      `The kernel ${release} cannot mount ${missing.join(', ')}: it has no such module.`,
      'Install the modules, or use a kernel that has them.',
    );
  return ok(`Modules for ${release}.`);
}

/** The names of modules, built in or not; undefined if they are not listed. */
export async function modulesOf(tree: FileTree, release: string): Promise<ReadonlySet<string> | undefined> {
  const read = async (name: string): Promise<string | undefined> => {
    const bytes = await tree.readHead(`${MODULES}/${release}/${name}`, 8 * 1024 * 1024);
    return bytes && new TextDecoder().decode(bytes);
  };
  const loadable = await read('modules.dep');
  if (loadable === undefined) return undefined;
  return new Set([
    ...loadable.split('\n').map((line) => moduleName(line.split(':', 1)[0] ?? '')),
    ...builtinIn((await read('modules.builtin')) ?? ''),
  ]);
}

export const builtinIn = (text: string): string[] => text.split('\n').map(moduleName);

/** Of `kernel/fs/fat/vfat.ko.xz`, vfat; with underscores, since the kernel does not tell them from dashes. */
export const moduleName = (path: string): string =>
  (path.split('/').at(-1) ?? '').replace(/\.ko(\.(xz|zst|gz))?$/, '').replaceAll('-', '_');

/** File systems that must be mounted before the agent can run. */
async function mountedTypes(tree: FileTree): Promise<readonly string[]> {
  const types = (await fstabOf(tree)).filter(({ path }) => path === '/var' || path === '/efi').map(({ type }) => type);
  return [...new Set(['vfat', ...types.filter((type) => /^(ext4|xfs|btrfs|f2fs|vfat)$/.test(type))])];
}
