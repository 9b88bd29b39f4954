/** A program's own folders, in which anything may lie by now: what cannot be read counts as absent, what is in the way of a write is moved aside. */

import { dirname } from 'node:path';
import { asUpdateError } from '../errors.ts';
import type { Files } from './files.ts';
import type { Log } from './log.ts';

/** `files`, of which those that lie in `dirs`, not deeper, are never the reason why something cannot go on. Each is named once. */
export function keptFiles(files: Files, dirs: readonly string[], log: Pick<Log, 'warn'>): Files {
  const told = new Set<string>();
  const isOurs = (path: string): boolean => dirs.includes(dirname(path));
  const tell = (path: string, error: unknown, sentence: string): void => {
    const { message } = asUpdateError(error);
    if (told.has(message)) return;
    told.add(message);
    log.warn({ path, err: message }, sentence);
  };
  /** Does it again once nothing lies at `path` any more. */
  const inPlace = async (path: string, deed: () => Promise<void>): Promise<void> => {
    try {
      await deed();
    } catch (error) {
      if (!isOurs(path) || !isInTheWay(error) || !(await moveAside(files, path))) throw error;
      tell(path, error, 'what was in the way was moved aside');
      await deed();
    }
  };
  return {
    read: async (path, most) => {
      if (!isOurs(path)) return files.read(path, most);
      return files.read(path, most ?? MOST_BYTES).catch((error: unknown) => {
        if (!isOfTheFile(error)) throw error;
        tell(path, error, 'a file cannot be read; the agent goes on as if it were not there');
        return undefined;
      });
    },
    list: (dir) => files.list(dir),
    makeDir: (dir) => inPlace(dir, () => files.makeDir(dir)),
    write: (path, chunks, mode) => inPlace(path, () => files.write(path, chunks, mode)),
    syncFile: (path) => files.syncFile(path),
    rename: (from, to) => inPlace(to, () => files.rename(from, to)),
    remove: (path) => inPlace(path, () => files.remove(path)),
    syncDir: (dir) => files.syncDir(dir),
  };
}

/** Where there is a name left for it. What was moved aside before stays; the newest is told by its number. */
async function moveAside(files: Files, path: string): Promise<boolean> {
  for (let number = 1; number <= MOST_ASIDE; number++) {
    const isMoved = await files.rename(path, number === 1 ? `${path}.bad` : `${path}.bad.${number}`).then(
      () => true,
      () => false,
    );
    if (isMoved) return true;
  }
  return false;
}

const MOST_ASIDE = 9;
/** More than anything that is kept has. */
const MOST_BYTES = 128 * 1024 * 1024;

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Something of another kind lies there: a folder, a link, a socket. */
const isInTheWay = (error: unknown): boolean => IN_THE_WAY.has(codeOf(error) ?? '');
const IN_THE_WAY: ReadonlySet<string> = new Set([
  'EISDIR',
  'EEXIST',
  'ENOTEMPTY',
  'ENOTDIR',
  'ELOOP',
  'EPERM',
  'ENXIO',
]);

/** Not: too many files open, no memory. These pass, and the file is well. */
const isOfTheFile = (error: unknown): boolean => codeOf(error) !== undefined && !PASSING.has(codeOf(error) ?? '');
const PASSING: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EINTR']);
