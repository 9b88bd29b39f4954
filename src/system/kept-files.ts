/** A program's own folders, with unknown content: unreadable files count as absent, and obstacles to a write are moved aside. */

import { dirname } from 'node:path';
import { asUpdateError } from '../errors.ts';
import type { Files } from './files.ts';
import type { Log } from './log.ts';

/** Wraps `files` so that files directly in `dirs` never cause a failure. Each is reported once. */
export function keptFiles(files: Files, dirs: readonly string[], log: Pick<Log, 'warn'>): Files {
  const reported = new Set<string>();
  const isOurs = (path: string): boolean => dirs.includes(dirname(path));
  const tell = (path: string, error: unknown, sentence: string): void => {
    const { message } = asUpdateError(error);
    if (reported.has(message)) return;
    reported.add(message);
    log.warn({ path, err: message }, sentence);
  };
  /** Repeats the write once `path` is free. */
  const inPlace = async (path: string, deed: () => Promise<void>): Promise<void> => {
    try {
      await deed();
    } catch (error) {
      if (!isOurs(path) || !isInTheWay(error) || !(await moveAside(files, path))) throw error;
      tell(path, error, 'an obstacle was moved aside');
      await deed();
    }
  };
  return {
    read: async (path, most) => {
      if (!isOurs(path)) return files.read(path, most);
      return files.read(path, most ?? MOST_BYTES).catch((error: unknown) => {
        if (!isOfTheFile(error)) throw error;
        tell(path, error, 'an unreadable file is treated as absent');
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

/** If a name is free. Earlier ones stay; the newest has the highest number. */
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
/** More than any stored file. */
const MOST_BYTES = 128 * 1024 * 1024;

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Something other than a file: a folder, a link, a socket. */
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

/** Excludes temporary failures such as too many open files or no memory: the file is intact. */
const isOfTheFile = (error: unknown): boolean => codeOf(error) !== undefined && !PASSING.has(codeOf(error) ?? '');
const PASSING: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EINTR']);
