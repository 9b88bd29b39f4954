/** A folder with a database, kept from other users of the machine, also where it was made with wider modes. */

import { constants } from 'node:fs';
import { chmod, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { realFiles } from '../files.ts';

/**
 * Makes `folder` (0700) and `name` in it (0600), and narrows what is there. A folder that also holds what is not `ours` stays as it is: others may
 * need to get at that. Answers with what others still have a right to, such as what another user owns.
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

/** What SQLite lays beside its file; it gives new ones the mode of that. */
const SUFFIXES = ['', '-wal', '-shm', '-journal'];

/** Before SQLite does, which would ask for no more than the umask allows. What cannot be created, SQLite will name. */
async function create(path: string): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_CREAT | constants.O_NONBLOCK;
  const file = await open(path, flags, 0o600).catch(() => undefined);
  await file?.close();
}

/** The path, if others have a right to it all the same. */
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
