/** The firmware's variables, as Linux shows them: one file each in efivarfs, four bytes of attributes before the value. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { type Files, readHead } from './files.ts';

/** Variables of the UEFI specification's own namespace. Each change is one call of the firmware: done or not done, and durable. */
export type EfiVariables = Readonly<{
  /** Without an order. */
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
      // The firmware refuses other attributes than the variable has. What is written is kept at once, so nothing is written twice.
      const bytes = Buffer.concat([before?.subarray(0, VARIABLE_ATTRIBUTES) ?? NEW, value]);
      if (before && bytes.equals(before)) return;
      // In one piece: each write to such a file is a change of the variable.
      await files.write(fileOf(name), [bytes]).catch(refused(fileOf(name)));
    },
    remove: (name) => files.remove(fileOf(name)).catch(refused(fileOf(name))),
  };
}

/** How the file of a variable is called; without a namespace in the specification's own. */
export const variableFile = (name: string, namespace = '8be4df61-93ca-11d2-aa0d-00e098032b8c'): string =>
  `${name}-${namespace}`;

/** So many bytes of attributes come before the value. */
export const VARIABLE_ATTRIBUTES = 4;

const MOST_BYTES = 64 * 1024;
// Kept without power, and seen by the firmware as well as by the running system.
const NEW = Buffer.from([7, 0, 0, 0]);

/**
 * With the attributes. The kernel may tell another size than there are bytes; a file without any is none of the firmware's variables:
 * a write that failed has left it.
 */
async function readFile(path: string): Promise<Uint8Array | undefined> {
  const bytes = await readHead(path, MOST_BYTES + 1);
  if (!bytes?.length) return undefined;
  if (bytes.length >= VARIABLE_ATTRIBUTES && bytes.length <= MOST_BYTES) return bytes;
  const size = bytes.length > MOST_BYTES ? `more than ${MOST_BYTES}` : bytes.length;
  throw new UpdateError('boot-environment', `${path} has ${size} bytes, which no variable has.`);
}

/** Firmware that refuses a change shows as a system call that fails. */
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
  // Linux protects unknown variables from accidents, and never those that are written here; somebody has.
  EPERM: 'is protected; “chattr -i” on it ends that',
  EROFS: 'cannot be written: efivarfs is mounted read-only, or the firmware protects it',
  EACCES: 'cannot be written: the firmware forbids it',
  EINVAL: 'cannot be written: the firmware does not take such a value',
  EIO: 'cannot be written: the firmware failed',
};
