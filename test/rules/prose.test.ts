/** Pages, comments, messages and help texts avoid wordings that read as if translated. */

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { WORDINGS, type Wording } from '../support/prose-words.ts';
import { readSourceTree, type SourceFile } from '../support/source-tree.ts';

const TOP = join(import.meta.dirname, '..', '..');
/** Generated from `src`, which is checked itself. */
const GENERATED: ReadonlySet<string> = new Set(['docs/config.md', 'docs/errors.md', 'docs/state-diagram.md']);

/** Of the changelog, the section that is still written: released ones are history. */
const unreleased = (text: string): string => text.split(/^## (?!Unreleased)/m)[0] ?? '';

const pages: readonly SourceFile[] = globSync(['*.md', 'docs/*.md', 'test/*/*.md', 'packaging/**/*.md'], { cwd: TOP })
  .filter((path) => !GENERATED.has(path))
  .map((path) => ({ path, text: readFileSync(join(TOP, path), 'utf8') }))
  .map(({ path, text }) => ({ path, text: path === 'CHANGELOG.md' ? unreleased(text) : text }));
const sources = readSourceTree().map(({ path, text }) => ({ path: `src/${path}`, text }));

/** In one line, since sentences continue in the next one. What stands between quotation marks is not ours. */
const flat = (text: string): string => text.replace(/\s*\n\s*(?:\* |\/\/ )?/g, ' ').replace(/“[^”]*”/g, '“”');

function faultsIn({ path, text }: SourceFile, wordings: readonly Wording[] = WORDINGS): readonly string[] {
  const line = flat(text);
  return wordings.flatMap(({ pattern, instead }) =>
    [...line.matchAll(new RegExp(pattern, `${pattern.flags}g`))].map(
      ({ index }) => `${path}: “…${line.slice(Math.max(0, index - 40), index + 40)}…” Write: ${instead}.`,
    ),
  );
}

test('no page and no source has a wording of the list', () => {
  assert.ok(pages.length > 25);
  assert.deepEqual(
    [...pages, ...sources].flatMap((file) => faultsIn(file)),
    [],
  );
});

test('every pattern finds its example, also across lines and in a comment', () => {
  for (const one of WORDINGS) {
    assert.equal(faultsIn({ path: 'a.md', text: one.example }, [one]).length, 1, one.example);
    const split = { path: 'a.ts', text: `/**\n * ${one.example.replaceAll(' ', '\n * ')}\n */` };
    assert.equal(faultsIn(split, [one]).length, 1, one.example);
  }
});
