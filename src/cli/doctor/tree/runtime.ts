/** Whether the system in the tree can start itself, and the agent in it. */

import type { ElfFile } from '../../../formats/elf.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { type Finding, fail, ok, unknown } from '../finding.ts';
import { elfAt } from './elf-files.ts';
import { libraryFaults } from './libraries.ts';
import type { TreeWorld } from './world.ts';

/** The program that every system starts first. */
export const INIT = '/sbin/init';

const UPDATECTL = '/usr/bin/updatectl';

/** Folders on which the system mounts something before it could create them. */
const MOUNT_POINTS = ['/proc', '/sys', '/dev', '/run'];

export async function system({ tree, with: { architecture } }: TreeWorld): Promise<Finding> {
  const init = await elfAt(tree, INIT);
  if (init === undefined)
    return fail(`${INIT} is missing or not a program.`, 'Install systemd (Debian package systemd-sysv).');
  if (init === 'damaged') return fail(`${INIT} is damaged.`, 'Unpack the tree again.');
  if (architecture !== undefined && init.machine !== architecture)
    return fail(
      `The tree is for ${init.machine}, but the release is for ${architecture}.`,
      'Pass another --architecture, or another tree.',
    );
  const faults = await libraryFaults(tree, INIT);
  if (faults.length > 0)
    return fail(`The system cannot start: ${faults.join('; ')}.`, 'Install what is missing in the tree.');
  const missing = await missingFolders(tree, MOUNT_POINTS);
  if (missing.length > 0)
    return fail(`${missing.join(', ')} must exist: the root is read-only.`, 'Create these folders in the tree, empty.');
  return ok(`Starts ${INIT} on ${init.machine}.`);
}

export async function missingFolders(tree: FileTree, paths: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const path of paths) if ((await tree.find(path))?.kind !== 'folder') missing.push(path);
  return missing;
}

/** The command, and the runtime that it starts. */
export async function agentProgram({ tree }: TreeWorld): Promise<Finding> {
  const fault = await programFault(tree, UPDATECTL);
  if (fault !== undefined) return fail(`${UPDATECTL} ${fault}.`, REINSTALL);
  const files = await filesOf(tree, UPDATECTL);
  if (files === undefined)
    return unknown(
      `${UPDATECTL} does not show which runtime it starts.`,
      'Compare it with that of the package tandem.',
    );
  for (const path of files) {
    const node = await tree.find(path);
    if (node?.kind !== 'file')
      return fail(`${UPDATECTL} starts ${path}, which is ${node ? 'not a file' : 'missing'}.`, REINSTALL);
  }
  const [runtime = UPDATECTL] = files;
  const wrong = await runtimeFault(tree, runtime);
  return wrong === undefined ? ok(`${UPDATECTL} starts ${runtime}.`) : fail(`${runtime} ${wrong}.`, REINSTALL);
}

/** The libraries of the runtime, as far as there is one. */
export async function libraries({ tree }: TreeWorld): Promise<Finding | undefined> {
  const [runtime = UPDATECTL] = (await filesOf(tree, UPDATECTL)) ?? [];
  const file = await elfAt(tree, runtime);
  if (file === undefined || file === 'damaged') return undefined;
  const faults = await libraryFaults(tree, runtime);
  if (faults.length === 0) return ok(`${runtime} finds all its libraries.`);
  return fail(`The agent cannot start: ${faults.join('; ')}.`, 'Install these libraries in the tree.');
}

const REINSTALL = 'Install the package tandem in the tree, or run `make install DESTDIR=` with it.';

async function programFault(tree: FileTree, path: string): Promise<string | undefined> {
  const node = await tree.find(path);
  if (!node) return 'is missing';
  if (node.kind !== 'file') return `is a ${node.kind}`;
  return (node.mode & 0o111) === 0 ? 'is not executable' : undefined;
}

async function runtimeFault(tree: FileTree, path: string): Promise<string | undefined> {
  const fault = await programFault(tree, path);
  if (fault !== undefined) return fault;
  const file = await elfAt(tree, path);
  if (file === undefined) return 'is not a program';
  return file === 'damaged' ? 'is damaged' : machineFault(file, await elfAt(tree, INIT));
}

const machineFault = ({ machine }: ElfFile, init: ElfFile | 'damaged' | undefined): string | undefined =>
  init === undefined || init === 'damaged' || init.machine === machine
    ? undefined
    : `is for ${machine}, but the tree is for ${init.machine}`;

/** The files that a wrapper names in its `exec` line; none for a program; undefined if there is no such line. */
async function filesOf(tree: FileTree, path: string): Promise<readonly string[] | undefined> {
  if ((await tree.find(path))?.kind !== 'file') return undefined;
  const text = new TextDecoder('latin1').decode(await tree.readHead(path, 4096));
  if (text.startsWith('\x7fELF')) return [];
  const [, command] = /^\s*exec\s+(.*)$/m.exec(text) ?? [];
  const files = (command ?? '').split(/\s+/).filter((word) => /^\/[\w./+-]+$/.test(word));
  return files.length === 0 ? undefined : files;
}
