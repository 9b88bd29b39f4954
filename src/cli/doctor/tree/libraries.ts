/** Whether the dynamic linker will find every library of a program in its tree, with the versions of symbols that it needs. */

import { dirname } from 'node:path';
import type { ElfFile } from '../../../formats/elf.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { elfAt } from './elf-files.ts';

/** Each fault as a phrase; empty if the program can be loaded. */
export async function libraryFaults(tree: FileTree, program: string): Promise<readonly string[]> {
  const first = await elfAt(tree, program);
  if (first === undefined || first === 'damaged') return [];
  const search = await searchOf(tree, first);
  const faults = new Set<string>(await interpreterFault(tree, program, first));
  const loaded = new Map<string, ElfFile | undefined>();
  const open: Loading[] = [{ path: program, file: first }];
  for (let one = open.pop(); one !== undefined && loaded.size < MOST_LIBRARIES; one = open.pop()) {
    for (const name of one.file.needed) {
      if (!loaded.has(name)) {
        const found = await findLibrary(tree, name, one, search);
        loaded.set(name, found?.file);
        if (found) open.push(found);
        else faults.add(`${one.path} needs ${name}${packageOf(name)}`);
      }
      for (const fault of versionFaults(one, name, loaded.get(name))) faults.add(fault);
    }
  }
  return [...faults];
}

type Loading = Readonly<{ path: string; file: ElfFile }>;
type Search = Readonly<{ machine: ElfFile['machine']; dirs: readonly string[] }>;

const MOST_LIBRARIES = 500;

async function interpreterFault(tree: FileTree, program: string, { interpreter, machine }: ElfFile): Promise<string[]> {
  if (interpreter === undefined) return [];
  const found = await elfAt(tree, interpreter);
  const fits = found !== undefined && found !== 'damaged' && found.machine === machine;
  return fits ? [] : [`${program} needs ${interpreter}${packageOf('libc.so.6')}`];
}

/** As ld.so does: first where the file itself says, then in the system's folders; a library for another machine is passed over. */
async function findLibrary(
  tree: FileTree,
  name: string,
  { path, file }: Loading,
  { dirs, machine }: Search,
): Promise<Loading | undefined> {
  const own = file.searched.map((dir) => dir.replace(/\$(ORIGIN|\{ORIGIN\})/g, dirname(path)));
  const places = name.includes('/') ? [name] : [...own, ...dirs].map((dir) => `${dir}/${name}`);
  for (const place of places) {
    const found = await elfAt(tree, place);
    if (found !== undefined && found !== 'damaged' && found.machine === machine) return { path: place, file: found };
  }
  return undefined;
}

function versionFaults(one: Loading, name: string, library: ElfFile | undefined): string[] {
  if (!library || library.provides.length === 0) return [];
  const missing = (one.file.requires.get(name) ?? []).filter((version) => !library.provides.includes(version));
  const newest = missing.at(-1);
  return newest === undefined ? [] : [`${one.path} needs ${newest}, which ${name} is too old for`];
}

async function searchOf(tree: FileTree, { interpreter = '', machine }: ElfFile): Promise<Search> {
  const triplet = machine === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  if (interpreter.includes('ld-musl-')) return { machine, dirs: ['/lib', '/usr/local/lib', '/usr/lib'] };
  const configured = await configuredDirs(tree, '/etc/ld.so.conf');
  const usual = [`/lib/${triplet}`, `/usr/lib/${triplet}`, '/lib64', '/usr/lib64', '/lib', '/usr/lib'];
  return { machine, dirs: [...configured, ...usual] };
}

/** The folders in ld.so.conf, and in the files that it includes. */
async function configuredDirs(tree: FileTree, path: string, depth = 0): Promise<string[]> {
  const bytes = depth > 2 ? undefined : await tree.readHead(path, 64 * 1024).catch(() => undefined);
  const dirs: string[] = [];
  for (const line of new TextDecoder().decode(bytes).split('\n')) {
    const [, pattern] = /^\s*include\s+(\S+)/.exec(line) ?? [];
    if (pattern === undefined) dirs.push(...(/^\s*(\/[^\s#]+)/.exec(line)?.slice(1, 2) ?? []));
    else for (const one of await included(tree, pattern)) dirs.push(...(await configuredDirs(tree, one, depth + 1)));
  }
  return dirs;
}

/** Only the last name has a pattern in practice: `ld.so.conf.d/*.conf`. */
async function included(tree: FileTree, pattern: string): Promise<readonly string[]> {
  const path = pattern.startsWith('/') ? pattern : `/etc/${pattern}`;
  const suffix = path.split('*').at(-1) ?? '';
  return path.includes('*')
    ? (await tree.list(dirname(path))).filter((name) => name.endsWith(suffix)).map((name) => `${dirname(path)}/${name}`)
    : [path];
}

/** The Debian package of a library that Node.js needs. */
const packageOf = (name: string): string => {
  const found = PACKAGES.get(name);
  return found === undefined ? '' : ` (Debian package ${found})`;
};

const PACKAGES: ReadonlyMap<string, string> = new Map([
  ['libatomic.so.1', 'libatomic1'],
  ['libstdc++.so.6', 'libstdc++6'],
  ['libgcc_s.so.1', 'libgcc-s1'],
  ...['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1'].map((name) => [name, 'libc6'] as const),
]);
