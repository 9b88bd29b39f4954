/** Looks whether the boot loader will choose among our entries at all. Changes nothing: the file belongs to whoever built the image. */

import { join, matchesGlob } from 'node:path';
import type { Product, Version } from '../../model.ts';
import type { ReadHead } from '../../system/files.ts';
import { formatEntryName } from './entry-name.ts';

/** What is wrong with the boot loader's configuration, one sentence each; none when nothing is. */
export async function loaderConfFaults(readHead: ReadHead, dir: string, product: Product): Promise<string[]> {
  const path = join(dir, 'loader', 'loader.conf');
  const bytes = await readHead(path, MOST_BYTES);
  if (!bytes) return [`${path} does not exist; it needs the line "default ${product}_*".`];
  const settings = parse(new TextDecoder().decode(bytes));
  return [...defaultFaults(path, product, settings.get('default')), ...menuFaults(path, settings.get('timeout'))];
}

const MOST_BYTES = 64 * 1024;

/** A later line takes the place of an earlier one. */
const parse = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .map((line) => /^\s*([a-z][a-z-]*)\s+(.*?)\s*$/.exec(line))
      .flatMap((match) => (match ? [[match[1] ?? '', match[2] ?? ''] as const] : [])),
  );

function defaultFaults(path: string, product: Product, pattern: string | undefined): string[] {
  const wanted = `it needs the line "default ${product}_*"`;
  if (pattern === undefined) return [`${path} names no default; ${wanted}.`];
  if (pattern.startsWith('@')) return [`${path} leaves the choice to the variable ${pattern}; ${wanted}.`];
  // Two versions that have nothing in common: the pattern must take whichever is the newest.
  const samples = ['0', '9.9~z'].map((version) => formatEntryName(product, { version: version as Version }));
  const missed = samples.some((id) => !matchesGlob(id.toLowerCase(), pattern.toLowerCase()));
  return missed ? [`${path} has the default "${pattern}", which does not take every version; ${wanted}.`] : [];
}

const menuFaults = (path: string, timeout: string | undefined): string[] =>
  timeout === 'menu-force' ? [`${path} has "timeout menu-force": no start ends without somebody at the keyboard.`] : [];
