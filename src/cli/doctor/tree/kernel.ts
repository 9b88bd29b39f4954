/** Whether the kernel and the tree belong together. */

import type { FileTree } from '../../../system/disk/file-tree.ts';
import { type Finding, fail, ok, unknown } from '../finding.ts';
import { elfAt } from './elf-files.ts';
import { fstabOf } from './mounts.ts';
import { INIT } from './runtime.ts';
import type { TreeWorld } from './world.ts';

const MODULES = '/usr/lib/modules';

/** The modules of the kernel that the tree is started with. */
export async function kernelModules(world: TreeWorld): Promise<Finding> {
  const { tree } = world;
  const stranger = await machineFault(world);
  if (stranger) return stranger;
  const release = releaseOf(await tree.list(MODULES), world.with.kernel?.release);
  if (typeof release !== 'string') return release;
  const known = await modulesOf(tree, release);
  if (known) return (await mountFault(tree, release, known)) ?? ok(`Modules for ${release}.`);
  return fail(`${MODULES}/${release} has no modules.dep, so no module is found.`, `Run \`depmod -b TREE ${release}\`.`);
}

async function machineFault({ tree, with: { kernel } }: TreeWorld): Promise<Finding | undefined> {
  const init = await elfAt(tree, INIT);
  const machine = init === undefined || init === 'damaged' ? undefined : init.machine;
  if (kernel?.machine === undefined || machine === undefined || kernel.machine === machine) return undefined;
  return fail(
    `The kernel is for ${kernel.machine}, but the tree is for ${machine}.`,
    'Pass the kernel that belongs to the tree.',
  );
}

/** The kernel that starts; `given` if its image shows it. */
function releaseOf(releases: readonly string[], given: string | undefined): string | Finding {
  const [first] = releases;
  if (first === undefined)
    return unknown(
      `${MODULES} is empty: the kernel must have everything built in.`,
      'Check that it mounts FAT and the file system of /var.',
    );
  const release = given ?? (releases.length === 1 ? first : undefined);
  const all = releases.join(', ');
  if (release === undefined)
    return unknown(`There are modules for ${all}; which kernel starts is not known.`, 'Pass --kernel.');
  if (releases.includes(release)) return release;
  return fail(
    `The kernel is ${release}, but the tree has modules for ${all} only.`,
    'Install the package of this kernel in the tree.',
  );
}

async function mountFault(tree: FileTree, release: string, known: ReadonlySet<string>): Promise<Finding | undefined> {
  const missing = (await mountedTypes(tree)).filter((type) => !known.has(type)).join(', ');
  if (missing === '') return undefined;
  return (await tree.find(`${MODULES}/${release}/modules.builtin`))
    ? fail(
        `The kernel ${release} cannot mount ${missing}: it has no such module.`,
        'Install the modules, or use a kernel that has them.',
      )
    : unknown(
        `${missing} must be built into the kernel ${release}; the tree does not say whether that is so.`,
        'Put the file modules.builtin of the kernel’s package into the tree.',
      );
}

/** The names of modules, built in or not; undefined if they are not listed. */
async function modulesOf(tree: FileTree, release: string): Promise<ReadonlySet<string> | undefined> {
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
