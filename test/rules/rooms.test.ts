/** How much lies in one folder and how much is said in one breath: both can be taken in at a glance. */

import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { parseAst } from 'rolldown/parseAst';
import { readSourceTree, type SourceFile } from '../support/source-tree.ts';

const MOST_FILES = 25;
const MOST_LINES = 70;

test(`a folder holds at most ${MOST_FILES} files`, () => {
  assert.deepEqual(fullFolders(readSourceTree()), []);
  const many = Array.from({ length: MOST_FILES + 1 }, (_, n) => ({ path: `cli/host/a${n}.ts`, text: '' }));
  assert.deepEqual(fullFolders(many), ['cli/host holds 26 files']);
});

test(`a function has at most ${MOST_LINES} lines`, () => {
  assert.deepEqual(readSourceTree().flatMap(longFunctions), []);
  const long = `const a = 1;\n\nexport const b = async () => {${'\n'.repeat(MOST_LINES)}};`;
  assert.deepEqual(longFunctions({ path: 'a.ts', text: long }), ['a.ts:3 begins a function of 71 lines']);
});

function fullFolders(files: readonly SourceFile[]): string[] {
  const counts = new Map<string, number>();
  for (const { path } of files) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  return [...counts].filter(([, count]) => count > MOST_FILES).map(([path, count]) => `${path} holds ${count} files`);
}

function longFunctions({ path, text }: SourceFile): string[] {
  const lineAt = (offset: number): number => text.slice(0, offset).split('\n').length;
  return functionsIn(parseAst(text, { lang: 'ts' }, path))
    .map(({ start, end }) => ({ line: lineAt(start), lines: lineAt(end) - lineAt(start) + 1 }))
    .filter(({ lines }) => lines > MOST_LINES)
    .map(({ line, lines }) => `${path}:${line} begins a function of ${lines} lines`);
}

type Span = Readonly<{ start: number; end: number }>;

/** Every function below a node of the syntax tree, those within others too. */
function functionsIn(node: unknown): Span[] {
  if (typeof node !== 'object' || node === null) return [];
  const inner = Object.values(node).flatMap(functionsIn);
  return isFunction(node) ? [node, ...inner] : inner;
}

const isFunction = (node: object): node is Span =>
  'type' in node &&
  /Function/.test(String(node.type)) &&
  'body' in node &&
  node.body !== null &&
  'start' in node &&
  'end' in node;
