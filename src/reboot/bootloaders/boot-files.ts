/** The files of boot partitions: a system call that fails there has a name that says so. */

import { type ErrorCode, UpdateError } from '../../errors.ts';
import type { Files, ReadPart, WritePart } from '../../system/files.ts';
import { systemFault } from '../../system-faults.ts';

/** `writableSpace` tells how many bytes are free in a folder, and fails as a write would where none can be written. */
export type BootFiles = Readonly<{
  files: Files;
  readPart: ReadPart;
  writePart: WritePart;
  writableSpace(dir: string): Promise<number>;
}>;

/** The same files. Faults of what is written into them, such as those of a download, keep their own names. */
export function bootFiles({ files, readPart, writePart, writableSpace }: BootFiles): BootFiles {
  return {
    files: {
      read: named(files.read),
      list: named(files.list),
      makeDir: named(files.makeDir),
      write: named(files.write),
      syncFile: named(files.syncFile),
      rename: named(files.rename),
      remove: named(files.remove),
      syncDir: named(files.syncDir),
    },
    readPart: named(readPart),
    writePart: named(writePart),
    writableSpace: named(writableSpace),
  };
}

const named =
  <A extends readonly unknown[], T>(call: (...given: A) => Promise<T>) =>
  (...given: A): Promise<T> =>
    call(...given).catch((error: unknown) => {
      const fault = systemFault(error);
      throw fault
        ? new UpdateError(CODES[fault.code] ?? 'boot-partition-failed', fault.message, { cause: error })
        : error;
    });

const CODES: Readonly<Record<string, ErrorCode>> = {
  'file-absent': 'boot-partition-missing',
  'file-system-full': 'esp-full',
  'file-system-read-only': 'boot-partition-read-only',
  // The agent is root, so it is its unit's sandbox that denies.
  'file-denied': 'boot-partition-read-only',
};
