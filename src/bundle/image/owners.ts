/** The owners of a tree's files as reported under fakeroot, which deceives other programs but not Node.js. */

import { UpdateError } from '../../errors.ts';
import { shownPath, type TreeEntry } from '../../system/disk/tree-walk.ts';
import { type Exec, run } from '../../system/process/exec.ts';

/** The owners in an image: as in the tree, or root. */
export type Owner = 'keep' | 'root';

/** The entries as another program sees them. */
export async function withOwners(
  exec: Exec,
  tree: string,
  entries: readonly TreeEntry[],
  signal: AbortSignal,
): Promise<readonly TreeEntry[]> {
  const output = await run(exec, 'find', ['.', '-printf', '%D %i %y %U %G %m\n'], {
    signal,
    cwd: tree,
    package: 'findutils',
  });
  const seen = new Map(
    output.split('\n').map((line) => {
      const [device, inode, type = '', uid, gid, mode = ''] = line.split(' ');
      return [`${device} ${inode}`, { type, uid: Number(uid), gid: Number(gid), bits: Number.parseInt(mode, 8) }];
    }),
  );
  return entries.map((entry) => {
    const facts = seen.get(entry.inode);
    if (facts?.type !== LETTERS[entry.kind])
      throw new UpdateError(
        'source-unreadable',
        `${shownPath(tree, entry.path)} is a ${entry.kind} and nothing that was made in its place (fakeroot), or it has just changed.`,
      );
    return { ...entry, uid: facts.uid, gid: facts.gid, mode: (entry.mode & ~PERMISSIONS) | facts.bits };
  });
}

const PERMISSIONS = 0o7777;

const LETTERS: Readonly<Record<TreeEntry['kind'], string>> = {
  file: 'f',
  folder: 'd',
  link: 'l',
  pipe: 'p',
  socket: 's',
  'character device': 'c',
  'block device': 'b',
};
