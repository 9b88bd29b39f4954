/** Files on boot partitions: a failing system call gets a specific error code. */

import { type ErrorCode, UpdateError } from '../../errors.ts';
import type { Files, ReadPart, WritePart } from '../../system/files.ts';
import { systemFault } from '../../system-faults.ts';

/** `writableSpace` returns the free bytes of a folder; throws as a write would if it is not writable. */
export type BootFiles = Readonly<{
  files: Files;
  readPart: ReadPart;
  writePart: WritePart;
  writableSpace(dir: string): Promise<number>;
}>;

/** Wraps `files`. Errors from the written content, such as a failed download, keep their own code. */
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
  // As root, the agent can only be denied access by its unit's sandbox.
  'file-denied': 'boot-partition-read-only',
};
