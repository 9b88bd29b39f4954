/** The table of errors against the code that throws them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, EXIT } from '../../src/errors.ts';
import { readSourceTree, type SourceFile } from '../support/source-tree.ts';

const unused = (codes: readonly string[], files: readonly SourceFile[]): string[] => {
  const text = files.filter(({ path }) => path !== 'errors.ts').map((file) => file.text);
  return codes.filter((code) => !text.some((one) => one.includes(`'${code}'`)));
};

test('every code of the table is used', () => {
  assert.deepEqual(unused(Object.keys(ERRORS), readSourceTree()), []);
});

test('every code of the table is used: and the rule sees when it is broken', () => {
  assert.deepEqual(unused(['used', 'left-over'], [{ path: 'a.ts', text: "fail('used')" }]), ['left-over']);
});

for (const [code, { exit, sentence, next }] of Object.entries(ERRORS))
  test(`${code} is in kebab-case, has an exit status, a sentence and a next step`, () => {
    assert.match(code, /^[a-z]+(-[a-z0-9]+)*$/);
    assert.ok(Object.values<number>(EXIT).includes(exit) && exit !== EXIT.ok);
    assert.match(sentence, /^[A-Z].*\.$/);
    assert.match(next, /^[A-Z].*[.?]$/);
  });
