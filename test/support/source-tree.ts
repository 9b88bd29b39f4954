/** The project's own source as the rules read it: files, their imports, and their code without comments and strings. */

import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** `path` is relative to `src/`. */
export type SourceFile = Readonly<{ path: string; text: string }>;

const SRC = join(import.meta.dirname, '../../src');

/** Every file under `src/`. */
export const readSourceTree = (): readonly SourceFile[] =>
  readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(SRC, path), 'utf8') }));

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)'([^'\n]+)'/g;

/** What a file imports: a path within `src/`, `node:…`, or a package. Types count too. */
export const importsOf = ({ path, text }: SourceFile): readonly string[] =>
  [...withoutComments(text).matchAll(IMPORT)].map(([, name = '']) =>
    name.startsWith('.') ? posix.join(posix.dirname(path), name) : name,
  );

export const isOwn = (name: string): boolean => name.endsWith('.ts');

/** The code alone, line numbers kept. What is written between `${` and `}` is code. */
export const codeOf = (text: string): string =>
  withoutComments(text)
    .replace(/'[^'\n]*'/g, "''")
    .replace(/`[^`]*`/g, (template) => {
      const code = [...template.matchAll(/\$\{([^}]*)\}/g)].map(([, inner]) => inner).join(';');
      return `(${code}${'\n'.repeat(template.split('\n').length - 1)})`;
    });

const withoutComments = (text: string): string =>
  text
    .split('\n')
    .map((line) => (/^\s*(\/\/|\/\*|\*)/.test(line) ? '' : line.replace(/\s\/\/ .*$/, '')))
    .join('\n');
