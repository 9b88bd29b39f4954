/** A page that says which test shows something is held to it: the test is there, under that name. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..', '..');
const PAGES = ['docs/locks-faults.md'];

type Named = Readonly<{ file: string; name: string }>;

/** A file in backticks, and after it the names of its tests in quotation marks. */
function namedTests(page: string): Named[] {
  return [...page.matchAll(/`(test\/[^`]+\.ts)`((?:;? “(?:[^”]|’)+”)+)/g)].flatMap(([, file = '', names = '']) =>
    [...names.matchAll(/“([^”]+)”/g)].map(([, name = '']) => ({ file, name })),
  );
}

const lacks = ({ file, name }: Named): boolean => !readFileSync(join(ROOT, file), 'utf8').includes(name);

for (const path of PAGES) {
  const page = readFileSync(join(ROOT, path), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| what happens'));

  test(`every row of ${path} names a test, and every test that it names exists`, () => {
    for (const row of rows) assert.ok(namedTests(row).length > 0, row);
    assert.deepEqual(namedTests(page).filter(lacks), []);
  });
}

test('the rule sees a test that is not there', () => {
  const named = namedTests(
    '| x | y | `test/rules/errors.test.ts` “every code of the table is used”; “nobody wrote this” |',
  );
  assert.deepEqual(
    named.filter(lacks).map(({ name }) => name),
    ['nobody wrote this'],
  );
});
