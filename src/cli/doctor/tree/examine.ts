/** Examines a file tree and what goes with it. */

import { resolveSound } from '../../../config/config.ts';
import { readFragments } from '../../../config/fragments.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import type { Context } from '../../command.ts';
import type { NamedFinding } from '../report.ts';
import { runTreeChecks } from './checks.ts';
import { IMAGE_DIRS } from './configuration.ts';
import { treeUnits } from './unit-files.ts';
import type { Companions } from './world.ts';

export async function examineTree(
  { clock, signal }: Pick<Context, 'clock' | 'signal'>,
  tree: FileTree,
  companions: Companions,
): Promise<readonly NamedFinding[]> {
  // The check of the configuration reports what is wrong; the others use its valid part.
  const config = resolveSound(await readFragments(tree, IMAGE_DIRS).catch(() => []));
  return runTreeChecks({ tree, units: treeUnits(tree), config, with: companions, now: clock.now(), signal });
}
