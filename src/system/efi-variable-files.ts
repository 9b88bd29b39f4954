/** Firmware variables in Linux's efivarfs: one file each, with four bytes of attributes before the value. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { type Files, readHead } from './files.ts';

/** Variables in the UEFI specification's own namespace. Each change is one atomic and durable call of the firmware. */
export type EfiVariables = Readonly<{
  /** Unordered. */
  names(): Promise<readonly string[]>;
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, value: Uint8Array): Promise<void>;
  /** An absent one is fine. */
  remove(name: string): Promise<void>;
}>;

export function efiVariableFiles(files: Pick<Files, 'list' | 'write' | 'remove'>, dir: string): EfiVariables {
  const fileOf = (name: string): string => join(dir, variableFile(name));
  const suffix = variableFile('');
  return {
    names: async () =>
      (await files.list(dir)).filter((one) => one.endsWith(suffix)).map((one) => one.slice(0, -suffix.length)),
    read: async (name) => (await readFile(fileOf(name)))?.subarray(VARIABLE_ATTRIBUTES),
    write: async (name, value) => {
      const before = await readFile(fileOf(name));
      // The firmware refuses attributes other than the variable's. It stores every write at once, so unchanged values are not written.
      const bytes = Buffer.concat([before?.subarray(0, VARIABLE_ATTRIBUTES) ?? NEW, value]);
      if (before && bytes.equals(before)) return;
      // A single write, because each write to such a file changes the variable.
      await files.write(fileOf(name), [bytes]).catch(refused(fileOf(name)));
    },
    remove: (name) => files.remove(fileOf(name)).catch(refused(fileOf(name))),
  };
}

/** The file name of a variable, by default in the specification's own namespace. */
export const variableFile = (name: string, namespace = '8be4df61-93ca-11d2-aa0d-00e098032b8c'): string =>
  `${name}-${namespace}`;

/** The attributes before the value, in bytes. */
export const VARIABLE_ATTRIBUTES = 4;

const MOST_BYTES = 64 * 1024;
// Non-volatile, and visible to firmware and operating system.
const NEW = Buffer.from([7, 0, 0, 0]);

/** With the attributes. The file size reported by the kernel may be wrong; an empty file is no variable, but a leftover of a failed write. */
async function readFile(path: string): Promise<Uint8Array | undefined> {
  const bytes = await readHead(path, MOST_BYTES + 1);
  if (!bytes?.length) return undefined;
  if (bytes.length >= VARIABLE_ATTRIBUTES && bytes.length <= MOST_BYTES) return bytes;
  const size = bytes.length > MOST_BYTES ? `more than ${MOST_BYTES}` : bytes.length;
  throw new UpdateError('boot-environment', `${path} has ${size} bytes, which no variable has.`);
}

/** A refusal by the firmware appears as a failed system call. */
const refused =
  (path: string) =>
  (cause: unknown): never => {
    const errno = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (errno === 'ENOSPC')
      throw new UpdateError('firmware-full', `The firmware has no room to write ${path}.`, { cause });
    const why = typeof errno === 'string' ? REFUSALS[errno] : undefined;
    throw why === undefined ? cause : new UpdateError('boot-environment', `${path} ${why}.`, { cause });
  };

const REFUSALS: Readonly<Record<string, string>> = {
  // Linux protects unknown variables from accidents, but not those written here, so the flag was set by somebody.
  EPERM: 'is protected; “chattr -i” on it ends that',
  EROFS: 'cannot be written: efivarfs is mounted read-only, or the firmware protects it',
  EACCES: 'cannot be written: the firmware forbids it',
  EINVAL: 'cannot be written: the firmware does not take such a value',
  EIO: 'cannot be written: the firmware failed',
};
