/** Two names for one file: left on FAT by a power cut within a rename, until the file system is checked. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { type FileReader, fileReader, sizeOf, type UkiFiles } from './uki-file.ts';

/**
 * Throws if two of these names in a folder have the same bytes. Removing either would free the clusters of both, and the next file would
 * overwrite the kernel; only a file system check can separate them.
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

/** Stops at the first difference; two distinct kernels differ early. */
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
    `${one} and ${other} in ${folder} are the same file; removing either would damage it.`,
  );
