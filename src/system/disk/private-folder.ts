/** The folder of a database, protected from other users, also if it was created with wider permissions. */

import { constants } from 'node:fs';
import { chmod, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { realFiles } from '../files.ts';

/**
 * Creates `folder` (0700) and `name` in it (0600), and narrows existing permissions. A folder that contains anything but `ours` is left
 * alone, because others may need access. Returns the paths that others can still access, such as those of another owner.
 */
export async function makePrivate(folder: string, name: string, ours: ReadonlySet<string>): Promise<readonly string[]> {
  await realFiles.makeDir(folder);
  const isOurs = (entry: string): boolean => entry.startsWith(name) || ours.has(entry) || entry === 'lost+found';
  const isWithOthers = !(await readdir(folder)).every(isOurs);
  await create(join(folder, name));
  const files = SUFFIXES.map((suffix) => narrowed(join(folder, `${name}${suffix}`)));
  const wide = await Promise.all([isWithOthers ? isWide(folder) : narrowed(folder), ...files]);
  return wide.filter((path) => path !== undefined);
}

/** SQLite's auxiliary files; new ones get the mode of the main file. */
const SUFFIXES = ['', '-wal', '-shm', '-journal'];

/** Created before SQLite does, which would follow the umask. SQLite reports a failure to create it. */
async function create(path: string): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_CREAT | constants.O_NONBLOCK;
  const file = await open(path, flags, 0o600).catch(() => undefined);
  await file?.close();
}

/** The path, if others still have access. */
async function narrowed(path: string): Promise<string | undefined> {
  const mode = await modeOf(path);
  if ((mode & OTHERS) === 0) return undefined;
  await chmod(path, mode & ~OTHERS).catch(() => undefined);
  return isWide(path);
}

const isWide = async (path: string): Promise<string | undefined> =>
  ((await modeOf(path)) & OTHERS) === 0 ? undefined : path;

const modeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ mode }) => mode & 0o7777,
    () => 0,
  );

const OTHERS = 0o077;
