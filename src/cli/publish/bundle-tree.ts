/** Looks at a tree before an image is made from it: what cannot be read, whose it is, and how new it is. */

import { isReadable, shownPath, type TreeEntry, topOf, walkTree } from '../../system/disk/tree-walk.ts';

export type TreeFacts = Readonly<{
  entries: number;
  /** What this user may not read. */
  unreadable: readonly string[];
  /** What belongs to a user who is not one of the system in the tree: whoever unpacked it here. */
  strangers: readonly string[];
  uid: number;
  /** What has the latest time, in seconds since 1970. */
  newest: Readonly<{ path: string; mtime: number }>;
}>;

/** Opens every file, and reads none. */
export async function lookAtTree(tree: string): Promise<TreeFacts> {
  const top = await topOf(tree);
  const [unreadable, strangers]: [string[], string[]] = [[], []];
  let [entries, newest] = [0, top];
  for await (const entry of walkTree(tree, (path) => void unreadable.push(shownPath(tree, path)))) {
    entries += 1;
    if (entry.kind === 'file' && !(await isReadable(tree, entry.path))) unreadable.push(shownPath(tree, entry.path));
    if (isStranger(entry, top)) strangers.push(shownPath(tree, entry.path));
    if (entry.mtime > newest.mtime) newest = entry;
  }
  const { path, mtime } = newest;
  return { entries, unreadable, strangers, uid: top.uid, newest: { path: shownPath(tree, path), mtime } };
}

const isStranger = ({ uid }: TreeEntry, top: TreeEntry): boolean => uid === NOBODY || (uid !== 0 && uid === top.uid);

/** Whom the kernel shows where a namespace has no name for the owner. */
const NOBODY = 65_534;
