/** What the checks of a file tree get to see. */

import type { Architecture } from '../../../bundle/manifest.ts';
import type { Config } from '../../../config/config.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import type { InitrdSource } from '../../../system/disk/initrd.ts';
import type { Finding } from '../finding.ts';
import type { TreeUnits } from './unit-files.ts';

/** What goes with the tree, as far as it is known. */
export type Companions = Readonly<{
  /** The version and product of the release. */
  version?: string;
  product?: string;
  architecture?: Architecture;
  commandLine?: string;
  /** Of the kernel; `release` as printed by `uname -r`, if the image shows it. */
  kernel?: Readonly<{ name: string; release?: string; machine?: string }>;
  initrds?: readonly Readonly<{ name: string; source: InitrdSource }>[];
  /** The roots of the repository that hosts will use, by version. */
  roots?: ReadonlyMap<number, Uint8Array>;
}>;

export type TreeWorld = Readonly<{
  tree: FileTree;
  units: TreeUnits;
  /** The valid part of the configuration in the tree. */
  config: Config;
  with: Companions;
  now: Date;
  signal: AbortSignal;
}>;

/** One check of a file tree. `meaning` and `remedy` are printed in docs/doctor.md. */
export type TreeCheck = Readonly<{
  name: string;
  meaning: string;
  remedy: string;
  /** Left out unless these are known. */
  needs?: readonly (keyof Companions)[];
  /** Undefined if another check reports why there is nothing to judge. */
  run(world: TreeWorld): Promise<Finding | undefined>;
}>;
