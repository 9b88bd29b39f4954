/** The firmware's variables, as Linux shows them: one file each in efivarfs, four bytes of attributes before the value. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { type Exec, run } from './exec.ts';
import type { Files, ReadPart } from './files.ts';

/** Variables of the UEFI specification's own namespace. Each change is one call of the firmware: done or not done, and durable. */
export type EfiVariables = Readonly<{
  /** Without an order. */
  names(): Promise<readonly string[]>;
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, value: Uint8Array): Promise<void>;
  /** An absent one is fine. */
  remove(name: string): Promise<void>;
}>;

type World = Readonly<{ files: Pick<Files, 'list' | 'write' | 'remove'>; readPart: ReadPart; exec: Exec }>;

export function efiVariableFiles({ files, readPart, exec }: World, dir: string): EfiVariables {
  const fileOf = (name: string): string => join(dir, `${name}${GLOBAL}`);
  const readFile = async (name: string): Promise<Uint8Array | undefined> => {
    const { bytes, size } = (await readPart(fileOf(name), 0, MOST_BYTES)) ?? {};
    if (!bytes) return undefined;
    if (size !== bytes.length || size < ATTRIBUTES)
      throw new UpdateError('boot-environment', `${fileOf(name)} has ${size} bytes, which no variable has.`);
    return bytes;
  };
  /** Some variables are protected from accidents by a flag of their file; it is taken away only where it is in the way. */
  const freely = async (name: string, deed: (path: string) => Promise<void>): Promise<void> => {
    try {
      await deed(fileOf(name));
    } catch (error) {
      if (!isForbidden(error)) throw error;
      await run(exec, 'chattr', ['-i', fileOf(name)], { package: 'e2fsprogs', timeoutMs: 10_000 });
      await deed(fileOf(name));
    }
  };
  return {
    names: async () =>
      (await files.list(dir)).filter((one) => one.endsWith(GLOBAL)).map((one) => one.slice(0, -GLOBAL.length)),
    read: async (name) => (await readFile(name))?.subarray(ATTRIBUTES),
    write: async (name, value) => {
      const before = await readFile(name);
      // The firmware refuses other attributes than the variable has. What is written is kept at once, so nothing is written twice.
      const bytes = Buffer.concat([before?.subarray(0, ATTRIBUTES) ?? NEW, value]);
      if (before && bytes.equals(before)) return;
      // In one piece: each write to such a file is a change of the variable.
      await freely(name, (path) => files.write(path, [bytes]));
    },
    remove: (name) => freely(name, (path) => files.remove(path)),
  };
}

const GLOBAL = '-8be4df61-93ca-11d2-aa0d-00e098032b8c';
const MOST_BYTES = 64 * 1024;
const ATTRIBUTES = 4;
// Kept without power, and seen by the firmware as well as by the running system.
const NEW = Buffer.from([7, 0, 0, 0]);

const isForbidden = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EPERM';
