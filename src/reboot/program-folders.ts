/** Folders of programs that an image or an operator fills: health programs, and what is done before a restart. */

import { join } from 'node:path';
import { type Files, statOf } from '../system/files.ts';

/**
 * The executables in these folders, in the order of their names. A name in a later folder takes the place of the same name in an
 * earlier one; a link to /dev/null there switches it off, as it does a unit.
 */
export async function programsIn(files: Pick<Files, 'list'>, dirs: readonly string[]): Promise<string[]> {
  const byName = new Map<string, string>();
  for (const dir of dirs)
    for (const name of await files.list(dir)) if (!name.startsWith('.')) byName.set(name, join(dir, name));
  const found: string[] = [];
  for (const [, path] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) if (await isProgram(path)) found.push(path);
  return found;
}

async function isProgram(path: string): Promise<boolean> {
  const found = await statOf(path);
  return found?.isFile() === true && (found.mode & 0o111) !== 0;
}
