/** Folders of programs that an image or an operator fills: health programs, and what is done before a restart. */

import { join } from 'node:path';
import { type Files, readHead, statOf } from '../system/files.ts';

/** What lies there to be run; `fault` says why it cannot be. */
export type ProgramFile = Readonly<{ path: string; fault?: string }>;

/**
 * Everything in these folders, in the order of the names: whoever puts something there wants it run. A name in a later folder takes the
 * place of the same name in an earlier one; a link to /dev/null there switches it off, as it does a unit. Hidden files and copies that
 * editors and packages leave behind are passed over.
 */
export async function programsIn(files: Pick<Files, 'list'>, dirs: readonly string[]): Promise<readonly ProgramFile[]> {
  const byName = new Map<string, string>();
  const found: ProgramFile[] = [];
  for (const dir of dirs) {
    const names = await files.list(dir).catch((error: unknown) => codeOf(error));
    if (typeof names === 'string') found.push({ path: dir, fault: `cannot be listed (${names})` });
    else for (const name of names) if (!COPY.test(name)) byName.set(name, join(dir, name));
  }
  for (const [, path] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const fault = await faultOf(path).catch((error: unknown) => `cannot be looked at (${codeOf(error)})`);
    if (fault !== SWITCHED_OFF) found.push(fault === undefined ? { path } : { path, fault });
  }
  return found;
}

/** Whether a program that was run is gone or switched off by now. */
export async function isNoLonger(path: string): Promise<boolean> {
  const fault = await faultOf(path).catch(() => '');
  return fault === SWITCHED_OFF || fault === NOWHERE;
}

const COPY = /^\.|~$|\.(dpkg-[a-z]+|rpm(new|save|orig)|ucf-[a-z]+|swp)$/;
const SWITCHED_OFF = 'switched off';
const NOWHERE = 'is a link that leads nowhere';
/** Of the device node, as `stat` tells it: 1:3. */
const NULL_DEVICE = 0x103;

/** What keeps the kernel from running it, as far as that can be told without running it. */
async function faultOf(path: string): Promise<string | undefined> {
  const found = await statOf(path);
  if (!found) return NOWHERE;
  if (found.isCharacterDevice() && found.rdev === NULL_DEVICE) return SWITCHED_OFF;
  if (!found.isFile()) return `is ${found.isDirectory() ? 'a folder' : 'not a file'}, not a program`;
  if ((found.mode & 0o111) === 0) return 'is not executable';
  const head = new TextDecoder().decode((await readHead(path, LONGEST_LINE)) ?? new Uint8Array());
  // A shell would be tried on it, and one that finds nothing to do in there is content.
  if (!/^(#!|\x7fELF)/.test(head)) return 'is neither a binary nor begins with #!';
  const interpreter = /^#![ \t]*([^ \t\n]+)/.exec(head)?.[1];
  if (interpreter === undefined || (await statOf(interpreter))) return undefined;
  return `needs ${interpreter}, which does not exist`;
}

/** The kernel reads no more of a script's first line. */
const LONGEST_LINE = 256;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);
