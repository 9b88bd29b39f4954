/** Which test files see a source file: those that import it, the nearest first. */

import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { importsOf } from '../support/source-tree.ts';

/** They read the source, show real pages in a browser, or run every command: none tells whether one line is right. */
const LEFT_OUT = /^test\/(rules\/|packaging\/|server\/pages\/|cli\/(main|rude-surroundings)\.)/;

/** The test files of the tree at `root` for a source file, at most `most`, each with the number of steps from import to import. */
export function nearestTests(root: string, path: string, most: number): readonly string[] {
  const tree = readTree(root);
  const importers = importersOf(tree);
  const found = new Map<string, number>([[path, 0]]);
  for (const [one, steps] of found)
    for (const next of importers.get(one) ?? []) if (!found.has(next)) found.set(next, steps + 1);
  const tests = [...found].filter(([one]) => one.endsWith('.test.ts') && !LEFT_OUT.test(one));
  const named = tree.filter(({ path: one, text }) => one.endsWith('.test.ts') && text.includes(posix.basename(path)));
  const all = path.endsWith('.ts') ? tests : named.map(({ path: one }) => [one, 1] as const);
  // Of two that are as near, the one that bears its name, then one of the same folder, then the one with fewer imports: it is about less else.
  const stem = posix.basename(path, '.ts').replace(/^tandem-/, '');
  const distance = (one: string): number => {
    if (posix.basename(one) === `${stem}.test.ts`) return 0;
    return posix.dirname(one).slice(5) === posix.dirname(path).slice(4) ? 1 : 2;
  };
  const breadth = (one: string): number => imports(tree, one).length;
  return all
    .toSorted(
      ([one, steps], [other, otherSteps]) =>
        steps - otherSteps || distance(one) - distance(other) || breadth(one) - breadth(other),
    )
    .slice(0, most)
    .map(([one]) => one);
}

type File = Readonly<{ path: string; text: string }>;

const readTree = (root: string): readonly File[] =>
  ['src', 'test'].flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => ({ path: `${top}/${path}`, text: readFileSync(join(root, top, path), 'utf8') })),
  );

const imports = (tree: readonly File[], path: string): readonly string[] => {
  const file = tree.find((one) => one.path === path);
  return file ? importsOf({ path, text: withoutTypes(file.text) }) : [];
};

/** What is imported for its type alone does not run. */
const withoutTypes = (text: string): string => text.replace(/^import type [^;]*;$/gm, '');

function importersOf(tree: readonly File[]): ReadonlyMap<string, readonly string[]> {
  const importers = new Map<string, string[]>();
  for (const { path, text } of tree)
    for (const name of importsOf({ path, text: withoutTypes(text) })) {
      const known = importers.get(name) ?? [];
      importers.set(name, [...known, path]);
    }
  return importers;
}
