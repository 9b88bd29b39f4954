/** Runs doctor on the root of a release before it is packed: its findings are warnings, since a tree may be unusual for a reason. */

import type { BuildInput } from '../../bundle/publish/build.ts';
import { asUpdateError } from '../../errors.ts';
import type { FileTree } from '../../system/disk/file-tree.ts';
import { folderTree } from '../../system/disk/folder-tree.ts';
import { statOf } from '../../system/files.ts';
import type { Context } from '../command.ts';
import type { NamedFinding } from '../doctor/report.ts';
import { openCompanions } from '../doctor/tree/companions.ts';
import { examineTree } from '../doctor/tree/examine.ts';
import { openImage } from '../doctor/tree/image.ts';
import { INIT } from '../doctor/tree/runtime.ts';
import type { Companions } from '../doctor/tree/world.ts';

export async function warnAsDoctor(context: Context, build: BuildInput): Promise<void> {
  const { out, signal } = context;
  const findings = await findingsOf(context, build).catch((error: unknown) => {
    signal.throwIfAborted();
    // Whether the build is possible with such files is for the build to say.
    if (asUpdateError(error).code === 'unexpected') throw error;
    return [];
  });
  const wrong = findings.filter(({ result }) => result === 'fail' || result === 'warn');
  for (const { name, sentence } of wrong) out.warn(`${name}: ${sentence}`);
  const option = (await isFolder(build.root)) ? '--tree' : '--image';
  if (wrong.length > 1) out.warn(`What to do: \`updatectl doctor ${option} ${build.root}\`.`);
}

async function findingsOf(context: Context, build: BuildInput): Promise<readonly NamedFinding[]> {
  await using opened = await openCompanions(filesOf(build), context.signal);
  const { version, product, architecture } = build;
  const companions = { ...opened.companions, version, product, architecture };
  if (await isFolder(build.root)) return await findingsIn(context, await folderTree(build.root), companions);
  await using image = await openImage(build.root, context.signal);
  return await findingsIn(context, image.tree, companions);
}

function filesOf({ uki, version }: BuildInput): Parameters<typeof openCompanions>[0] {
  if ('file' in uki) return { version, uki: uki.file };
  return { version, kernel: uki.kernel, initrds: uki.initrds, commandLine: uki.commandLine };
}

/** Only the first for a tree that is no system at all. */
async function findingsIn(context: Context, tree: FileTree, companions: Companions): Promise<readonly NamedFinding[]> {
  const findings = await examineTree(context, tree, companions);
  return (await tree.entry(INIT)) === undefined ? findings.slice(0, 1) : findings;
}

const isFolder = async (path: string): Promise<boolean> => (await statOf(path))?.isDirectory() === true;
