/** The changes that a mutation run makes: each is one wrong step of the code, none is of its types, and the rest stays as it was. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutantsOf, mutated, shellMutantsOf } from './mutants.ts';

const changed = (source: string): readonly string[] => mutantsOf(source).map((mutant) => mutated(source, mutant));

test('operators, branches, numbers and words are turned into their opposites', () => {
  const all = (code: string, ...wrong: string[]): void => {
    const found = changed(code);
    for (const one of wrong) assert.ok(found.includes(one), `${one} is not among ${found.join('\n')}`);
  };
  all('x = a && b;', 'x = (a || b);', 'x = (a);', 'x = (b);');
  all('x = a < 3;', 'x = (a <= 3);', 'x = (a >= 3);', 'x = a < (3 + 1);');
  all('if (!a) b();', ';', 'if ((a)) b();', 'if (!a) ;');
  all('x = list.some(f);', 'x = (list.every(f));');
  all('x = [a, b];', 'x = ([b]);', 'x = ([a]);');
  all('throw x;', ';');
  all("x = c ? 'é“' : d;", "x = ('é“');", 'x = (d);');
});

test('what is waited for is no longer, or not done at all', () => {
  const source = 'async () => { await files.syncDir(dir); };';
  const found = changed(source);
  assert.ok(found.includes('async () => { void files.syncDir(dir); };'));
  assert.ok(found.includes('async () => { ; };'));
  assert.ok(changed('x = p.catch(() => undefined);').includes('x = (p);'));
});

test('types and imports are left alone', () => {
  assert.deepEqual(
    changed("import type { A } from 'a';\ntype B = 1 | 2;\nconst b = (a: 1 | 2): a is 1 => f(a as 1);"),
    [],
  );
});

test('what the compiler refuses is no change: a case that runs into the next', () => {
  const source = 'for (;;) { switch (a) { case b: if (c) break; d(); break; } break; }';
  assert.deepEqual(
    mutantsOf(source)
      .filter(({ before }) => before === 'break;')
      .map(({ start }) => start),
    [source.indexOf('break'), source.lastIndexOf('break')],
  );
});

test('each change says on which line it is', () => {
  assert.deepEqual(
    mutantsOf('const a = 1;\n\nconst b = true;').map(({ line, before, text }) => [line, before, text]),
    [
      [1, '1', '(1 + 1)'],
      [3, 'true', '(false)'],
    ],
  );
});

test('lines of a shell script are left out, but not those that hold it together', () => {
  const source = '#!/bin/sh\nset -eu\n# A word.\nif [ -r "$a" ]; then\n\tsay x || reboot\nfi\n';
  const found = shellMutantsOf(source).map((mutant) => mutated(source, mutant));
  const without = (from: string, to: string): string => source.replace(from, to);
  assert.deepEqual(
    new Set(found),
    new Set([
      without('set -eu', ':'),
      without('set -eu', 'set -u'),
      without('say x || reboot', ':'),
      without(' || reboot', ''),
      without(' || ', ' && '),
    ]),
  );
});
