/** Examines a tree before an image is made from it: unreadable files, owners, and the newest time. */

import { isReadable, shownPath, type TreeEntry, topOf, walkTree } from '../../system/disk/tree-walk.ts';

export type TreeFacts = Readonly<{
  entries: number;
  /** Files that this user may not read. */
  unreadable: readonly string[];
  /** Files of a user that does not belong to the system in the tree, such as the one who unpacked it here. */
  strangers: readonly string[];
  uid: number;
  /** The newest file, in seconds since 1970. */
  newest: Readonly<{ path: string; mtime: number }>;
}>;

/** Opens every file without reading it. */
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

/** The kernel shows this user where a namespace has no mapping for the owner. */
const NOBODY = 65_534;
