/** Checks that the boot loader's configuration lets it choose among our entries. Read-only: the file belongs to the image. */

import { join } from 'node:path';
import type { Product, Version } from '../../model.ts';
import type { ReadHead } from '../../system/files.ts';
import { formatEntryName } from '../kernels/entry-name.ts';

/** Problems of the boot loader's configuration, one sentence each. */
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

/** Two unrelated versions: the pattern must match any version. systemd-boot does not treat a word with @ as a pattern. */
export const takesEveryVersion = (product: Product, pattern: string): boolean =>
  ['0', '9.9~z'].every((version) => matches(pattern, formatEntryName(product, { version: version as Version })));

/** Whether the menu waits forever with this timeout; bootctl writes the number for the word. */
export const waitsForKey = (timeout: string): boolean =>
  timeout === 'menu-force' || (/^[0-9]+$/.test(timeout) && Number(timeout) >= 0xffffffff);

const MOST_BYTES = 64 * 1024;
const LONGEST_NAME = 255;

/** Later lines replace earlier ones. Only double quotes count: older boot loaders know no others. */
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
  return [`${path} has the default "${pattern}", which does not match every version; ${wanted}.`];
}

/** Since systemd 260, this setting takes precedence over the default. */
const preferredFaults = (path: string, product: Product, pattern: string | undefined): string[] =>
  pattern === undefined || takesEveryVersion(product, pattern)
    ? []
    : [`${path} has the line "preferred ${pattern}", which does not match every version; remove it.`];

const menuFaults = (path: string, timeout: string | undefined): string[] =>
  timeout !== undefined && waitsForKey(timeout)
    ? [`${path} has "timeout ${timeout}": the boot menu waits for a key forever.`]
    : [];

/** Matches like the boot loader: lower case, `*`, `?` and backslashes. Its character sets are not supported here. */
function matches(pattern: string, id: string): boolean {
  if (pattern.length > LONGEST_NAME || pattern.includes('[')) return false;
  const expression = pattern.toLowerCase().replaceAll(/\*+|\\?(.)/g, asExpression);
  return new RegExp(`^${expression}$`).test(id.toLowerCase());
}

function asExpression(part: string, character = ''): string {
  if (part.startsWith('*')) return '.*';
  return part === '?' ? '.' : character.replace(/[^a-z0-9]/, '\\$&');
}
