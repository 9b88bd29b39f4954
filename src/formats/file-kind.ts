/** The kind of a file by the type bits of its mode: inode(7). Archives and file systems store the same bits. */

export type FileKind = 'file' | 'folder' | 'link' | 'pipe' | 'socket' | 'character device' | 'block device';

/** Undefined for bits that name no kind. */
export const kindOfMode = (mode: number): FileKind | undefined => KINDS.get(mode & FILE_TYPE);

const FILE_TYPE = 0o170000;
const KINDS: ReadonlyMap<number, FileKind> = new Map([
  [0o010000, 'pipe'],
  [0o020000, 'character device'],
  [0o040000, 'folder'],
  [0o060000, 'block device'],
  [0o100000, 'file'],
  [0o120000, 'link'],
  [0o140000, 'socket'],
]);
