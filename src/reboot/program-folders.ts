/** Folders of programs supplied by an image or an operator: health programs and reboot hooks. */

import { join } from 'node:path';
import { type Files, type ReadHead, readHead, statOf } from '../system/files.ts';

/** A program file; `fault` says why it cannot run. */
export type ProgramFile = Readonly<{ path: string; fault?: string }>;

type Status = NonNullable<Awaited<ReturnType<typeof statOf>>>;
export type ProgramStatus = Pick<Status, 'isCharacterDevice' | 'isDirectory' | 'isFile' | 'mode' | 'rdev'>;

/** How the files themselves are examined: in this system, or in another one's tree. */
export type ProgramLook = Readonly<{
  stat(path: string): Promise<ProgramStatus | undefined>;
  readHead: ReadHead;
}>;

/**
 * The programs in these folders, in name order. A name in a later folder replaces the same name in an earlier one; a link to /dev/null
 * disables it, as with units. Hidden files, and copies left by editors and packages, are skipped.
 */
export async function programsIn(
  files: Pick<Files, 'list'>,
  dirs: readonly string[],
  look: ProgramLook = HERE,
): Promise<readonly ProgramFile[]> {
  const byName = new Map<string, string>();
  const found: ProgramFile[] = [];
  for (const dir of dirs) {
    const names = await files.list(dir).catch((error: unknown) => codeOf(error));
    if (typeof names === 'string') found.push({ path: dir, fault: `cannot be listed (${names})` });
    else for (const name of names) if (!COPY.test(name)) byName.set(name, join(dir, name));
  }
  for (const [, path] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const fault = await faultOf(look, path).catch((error: unknown) => `cannot be examined (${codeOf(error)})`);
    if (fault !== SWITCHED_OFF) found.push(fault === undefined ? { path } : { path, fault });
  }
  return found;
}

/** Whether a program has been removed or disabled since it ran. */
export async function isNoLonger(path: string): Promise<boolean> {
  const fault = await faultOf(HERE, path).catch(() => '');
  return fault === SWITCHED_OFF || fault === NOWHERE;
}

const HERE: ProgramLook = { stat: statOf, readHead };

const COPY = /^\.|~$|\.(dpkg-[a-z]+|rpm(new|save|orig)|ucf-[a-z]+|swp)$/;
const SWITCHED_OFF = 'switched off';
const NOWHERE = 'is a dangling link';
/** The device number of /dev/null, 1:3, as in `stat`. */
const NULL_DEVICE = 0x103;

/** The reason why the kernel would not run the file, as far as it shows without running it. */
async function faultOf(look: ProgramLook, path: string): Promise<string | undefined> {
  const found = await look.stat(path);
  if (!found) return NOWHERE;
  if (found.isCharacterDevice() && found.rdev === NULL_DEVICE) return SWITCHED_OFF;
  if (!found.isFile()) return `is ${found.isDirectory() ? 'a folder' : 'not a file'}, not a program`;
  if ((found.mode & 0o111) === 0) return 'is not executable';
  const head = new TextDecoder().decode((await look.readHead(path, LONGEST_LINE)) ?? new Uint8Array());
  // A shell would try to interpret it, and succeed if it finds nothing to do.
  if (!/^(#!|\x7fELF)/.test(head)) return 'is neither a binary nor starts with #!';
  const interpreter = /^#![ \t]*([^ \t\n]+)/.exec(head)?.[1];
  if (interpreter === undefined || (await look.stat(interpreter))) return undefined;
  if (interpreter.endsWith('\r')) return 'has line ends of Windows, which become part of the interpreter’s name';
  return `needs ${interpreter}, which does not exist`;
}

/** The kernel reads at most this much of a script's first line. */
const LONGEST_LINE = 256;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);
