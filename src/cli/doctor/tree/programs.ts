/** The programs in a tree that a release must pass or that prepare a restart, and those that the agent itself calls. */

import { HEALTH_DIRS, healthPrograms } from '../../../reboot/health/programs.ts';
import { type ProgramFile, type ProgramLook, programsIn } from '../../../reboot/program-folders.ts';
import type { FileTree, TreeNode } from '../../../system/disk/file-tree.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { healthCheck, hookPrograms } from '../programs.ts';
import { libraryFaults } from './libraries.ts';
import type { TreeWorld } from './world.ts';

/** As on a host; also programs that nothing runs, and those that lack something in the tree. */
export async function health({ tree, config }: TreeWorld): Promise<Finding> {
  const found = await healthCheck(tree, config, lookIn(tree));
  if (found.result === 'fail') return found;
  const { required } = await healthPrograms(tree, config.health.directories, lookIn(tree));
  const lack = await firstLack(tree, required);
  if (lack !== undefined) return fail(`${lack}: no release can pass.`, 'Install what it needs in the tree.');
  for (const dir of [...new Set([...HEALTH_DIRS, ...config.health.directories])])
    for (const name of await tree.list(dir))
      if ((await tree.find(`${dir}/${name}`))?.kind === 'file')
        return warn(`${dir}/${name} is never run.`, 'Move it to the folder required/ or wanted/ below.');
  return found;
}

export async function hooks({ tree, config }: TreeWorld): Promise<Finding> {
  const found = await hookPrograms(tree, config, lookIn(tree));
  if (found.result !== 'ok') return found;
  const lack = await firstLack(tree, await programsIn(tree, config.reboot.hookDirectories, lookIn(tree)));
  if (lack === undefined) return found;
  return fail(`${lack}: the host cannot restart into a release.`, 'Install what it needs in the tree.');
}

async function firstLack(tree: FileTree, programs: readonly ProgramFile[]): Promise<string | undefined> {
  for (const { path } of programs) {
    const lack = await lackOf(tree, path);
    if (lack !== undefined) return lack;
  }
  return undefined;
}

/** What a program that looks sound lacks to start: libraries, or the program that `env` looks for. */
async function lackOf(tree: FileTree, path: string): Promise<string | undefined> {
  const head = new TextDecoder('latin1').decode(await tree.readHead(path, 256));
  const [, interpreter, argument] = /^#![ \t]*(\S+)[ \t]*(\S*)/.exec(head) ?? [];
  const isEnv =
    interpreter?.endsWith('/env') === true && /^[\w.+-]+$/.test(argument ?? '') && !argument?.startsWith('-');
  if (isEnv && !(await hasProgram(tree, argument ?? ''))) return `${path} needs ${argument}, which the tree lacks`;
  const [fault] = await libraryFaults(tree, interpreter ?? path);
  return fault === undefined ? undefined : `${path} cannot start: ${fault}`;
}

/** Programs that the agent cannot do without, and those that the configured restart needs. */
export async function tools({ tree, config: { reboot, boot } }: TreeWorld): Promise<Finding> {
  const needed: readonly (readonly [program: string, pkg: string])[] = [
    ['systemctl', 'systemd'],
    ['systemd-notify', 'systemd'],
    ['systemd-run', 'systemd'],
    ['busctl', 'systemd'],
    ...(boot.backend === 'uboot'
      ? ([
          ['fw_printenv', UBOOT],
          ['fw_setenv', UBOOT],
        ] as const)
      : []),
  ];
  const missing = await missingPrograms(
    tree,
    needed.map(([program]) => program),
  );
  const packages = new Set(needed.filter(([program]) => missing.includes(program)).map(([, pkg]) => pkg));
  if (missing.length > 0)
    return fail(
      `The agent calls ${missing.join(', ')}, which the tree lacks.`,
      `Install ${[...packages].join(', ')} in the tree.`,
    );
  const { method } = reboot;
  const jumps = [
    ...(method === 'soft' || method === 'auto' ? [{ program: 'veritysetup', pkg: 'cryptsetup-bin' }] : []),
    ...(method === 'kexec' || method === 'auto' ? [{ program: 'kexec', pkg: 'kexec-tools' }] : []),
  ];
  for (const { program, pkg } of jumps)
    if (!(await hasProgram(tree, program)))
      return warn(
        `reboot.method is ${method}, but the tree lacks ${program}: some restarts will go through the firmware.`,
        `Install ${pkg} in the tree.`,
      );
  return ok('All there.');
}

/** Those of `programs` that the tree lacks. */
export async function missingPrograms(tree: FileTree, programs: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const program of programs) if (!(await hasProgram(tree, program))) missing.push(program);
  return missing;
}

export async function hasProgram(tree: FileTree, program: string): Promise<boolean> {
  for (const dir of PATH) {
    const found = await tree.find(`${dir}/${program}`);
    if (found?.kind === 'file' && (found.mode & 0o111) !== 0) return true;
  }
  return false;
}

/** systemd's own. */
const PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

const UBOOT = 'libubootenv-tool';

function lookIn(tree: FileTree): ProgramLook {
  return { stat: async (path) => statusOf(await tree.find(path)), readHead: tree.readHead };
}

function statusOf(node: TreeNode | undefined): Awaited<ReturnType<ProgramLook['stat']>> {
  return (
    node && {
      mode: node.mode,
      rdev: node.device,
      isFile: () => node.kind === 'file',
      isDirectory: () => node.kind === 'folder',
      isCharacterDevice: () => node.kind === 'character device',
    }
  );
}
