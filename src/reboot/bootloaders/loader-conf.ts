/** Looks whether the boot loader will choose among our entries at all. Changes nothing: the file belongs to whoever built the image. */

import { join } from 'node:path';
import type { Product, Version } from '../../model.ts';
import type { ReadHead } from '../../system/files.ts';
import { formatEntryName } from '../kernels/entry-name.ts';

/** What is wrong with the boot loader's configuration, one sentence each; none when nothing is. */
export async function loaderConfFaults(readHead: ReadHead, dir: string, product: Product): Promise<string[]> {
  const path = join(dir, 'loader', 'loader.conf');
  const bytes = await readHead(path, MOST_BYTES);
  if (!bytes) return [`${path} does not exist; it needs the line "default ${product}_*".`];
  const settings = parse(new TextDecoder().decode(bytes));
  return [
    ...defaultFaults(path, product, settings.get('default')),
    ...preferredFaults(path, product, settings.get('preferred')),
    ...menuFaults(path, settings.get('timeout')),
  ];
}

/** Two versions that have nothing in common: the pattern must take whichever is the newest. A word with @ is no pattern. */
export const takesEveryVersion = (product: Product, pattern: string): boolean =>
  ['0', '9.9~z'].every((version) => matches(pattern, formatEntryName(product, { version: version as Version })));

/** Whether the menu waits for a key for ever with this timeout; the number is what bootctl writes for the word. */
export const waitsForKey = (timeout: string): boolean =>
  timeout === 'menu-force' || (/^[0-9]+$/.test(timeout) && Number(timeout) >= 0xffffffff);

const MOST_BYTES = 64 * 1024;
const LONGEST_NAME = 255;

/** A later line takes the place of an earlier one. Quotes must be double: older releases of the boot loader know no others. */
const parse = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .map((line) => /^\s*([a-z][a-z-]*)\s+("?)(.*?)\2\s*$/.exec(line))
      .flatMap((match) => (match ? [[match[1] ?? '', match[3] ?? ''] as const] : [])),
  );

function defaultFaults(path: string, product: Product, pattern: string | undefined): string[] {
  const wanted = `it needs the line "default ${product}_*"`;
  if (pattern === undefined) return [`${path} names no default; ${wanted}.`];
  if (pattern.startsWith('@')) return [`${path} leaves the choice to the variable ${pattern}; ${wanted}.`];
  if (takesEveryVersion(product, pattern)) return [];
  return [`${path} has the default "${pattern}", which does not take every version; ${wanted}.`];
}

/** Since systemd 260 this line comes before the default. */
const preferredFaults = (path: string, product: Product, pattern: string | undefined): string[] =>
  pattern === undefined || takesEveryVersion(product, pattern)
    ? []
    : [`${path} has the line "preferred ${pattern}", which does not take every version; it needs none.`];

const menuFaults = (path: string, timeout: string | undefined): string[] =>
  timeout !== undefined && waitsForKey(timeout)
    ? [`${path} has "timeout ${timeout}": no start ends without somebody at the keyboard.`]
    : [];

/** As the boot loader compares: small letters, `*`, `?` and backslashes; of what shells know besides, it has only sets, which take some. */
function matches(pattern: string, id: string): boolean {
  if (pattern.length > LONGEST_NAME || pattern.includes('[')) return false;
  const expression = pattern.toLowerCase().replaceAll(/\*+|\\?(.)/g, asExpression);
  return new RegExp(`^${expression}$`).test(id.toLowerCase());
}

function asExpression(part: string, character = ''): string {
  if (part.startsWith('*')) return '.*';
  return part === '?' ? '.' : character.replace(/[^a-z0-9]/, '\\$&');
}
