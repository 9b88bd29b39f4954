/** The units in a file tree: which there are, which are masked, and which are started. */

import type { FileTree } from '../../../system/disk/file-tree.ts';
import { isNull } from '../../../system/disk/file-tree.ts';

export interface TreeUnits {
  /** The unit and its drop-ins, in the order in which systemd reads them; undefined if it is absent or masked. */
  texts(name: string): Promise<readonly string[] | undefined>;
  isMasked(name: string): Promise<boolean>;
  /** Whether another unit starts it, through a link in a folder such as multi-user.target.wants. */
  isEnabled(name: string): Promise<boolean>;
  /** The contents of its drop-ins. */
  dropIns(name: string): Promise<readonly string[]>;
}

export function treeUnits(tree: FileTree): TreeUnits {
  let enabled: Promise<ReadonlySet<string>> | undefined;
  const place = async (name: string): Promise<string | undefined> => {
    for (const dir of UNIT_DIRS) if (await tree.entry(`${dir}/${name}`)) return `${dir}/${name}`;
    return undefined;
  };
  const text = async (path: string): Promise<string | undefined> => {
    const bytes = isNull(await tree.find(path)) ? undefined : await tree.read(path, MOST_BYTES);
    return bytes === undefined || bytes.length === 0 ? undefined : new TextDecoder().decode(bytes);
  };
  const dropIns = async (name: string): Promise<readonly string[]> => {
    const paths = await dropInPaths(tree, name);
    return (await Promise.all(paths.map(text))).filter((one) => one !== undefined);
  };
  return {
    dropIns,
    texts: async (name) => {
      const path = await place(name);
      const main = path === undefined ? undefined : await text(path);
      return main === undefined ? undefined : [main, ...(await dropIns(name))];
    },
    isMasked: async (name) => {
      const path = await place(name);
      return path !== undefined && (await text(path)) === undefined;
    },
    isEnabled: async (name) => {
      enabled ??= enabledUnits(tree);
      return (await enabled).has(name);
    },
  };
}

/** The strongest first. */
const UNIT_DIRS = [
  '/etc/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

const MOST_BYTES = 256 * 1024;

/** By name; a drop-in in a stronger folder replaces its namesake. */
async function dropInPaths(tree: FileTree, name: string): Promise<readonly string[]> {
  const byName = new Map<string, string>();
  for (const dir of UNIT_DIRS.toReversed())
    for (const one of await tree.list(`${dir}/${name}.d`))
      if (one.endsWith('.conf')) byName.set(one, `${dir}/${name}.d/${one}`);
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

async function enabledUnits(tree: FileTree): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const dir of UNIT_DIRS)
    for (const folder of await tree.list(dir))
      if (/\.(wants|requires|upholds)$/.test(folder))
        for (const name of await tree.list(`${dir}/${folder}`)) names.add(name);
  return names;
}
