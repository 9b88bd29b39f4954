/** Two names that lead to one file: what a power cut within a rename leaves on FAT until the file system is checked. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { type FileReader, fileReader, sizeOf, type UkiFiles } from './uki-file.ts';

/**
 * Refuses when two of these names of a folder have the same bytes. To remove either would free the clusters of both, and the next file
 * would be written over the kernel; only a check of the file system can part them.
 */
export async function refuseTwins(esp: UkiFiles, folder: string, names: readonly string[]): Promise<void> {
  const sizes = await Promise.all(names.map((name) => sizeOf(esp, join(folder, name))));
  for (const [at, one] of names.entries())
    for (const [after, other] of names.slice(at + 1).entries()) {
      const size = sizes[at] ?? 0;
      if (size === 0 || sizes[at + 1 + after] !== size) continue;
      if (await isSame(esp, [join(folder, one), join(folder, other)], size)) throw twins(folder, one, other);
    }
}

const PIECE = 64 * 1024;

/** The first piece in which they differ ends the comparison; two kernels do so early. */
async function isSame(esp: UkiFiles, paths: readonly [string, string], size: number): Promise<boolean> {
  const [one, other] = paths.map((path) => fileReader(esp, path, size)) as [FileReader, FileReader];
  for (let offset = 0; offset < size; offset += PIECE) {
    const piece = Buffer.from(await one.read(offset, PIECE));
    if (!piece.equals(await other.read(offset, PIECE))) return false;
  }
  return true;
}

const twins = (folder: string, one: string, other: string): UpdateError =>
  new UpdateError(
    'boot-file-shared',
    `${one} and ${other} in ${folder} are one file, which removing either would damage.`,
  );
