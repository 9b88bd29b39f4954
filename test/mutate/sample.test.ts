/** Which changes a mutation run tries, and which tests it asks about each. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/bundles.ts';
import { readCoverage } from './coverage.ts';
import { runTest } from './run-tests.ts';
import { sampleOf } from './sample.ts';

const many = (folder: string, count: number): { path: string }[] =>
  Array.from({ length: count }, (_, at) => ({ path: `${folder}/${at}.ts` }));

test('a sample takes as many of a small folder as of a large one, and is the same for the same seed', () => {
  const all = [...many('a', 500), ...many('b', 20), ...many('c', 3)];
  const sample = sampleOf(all, 7, 5);
  const folders = Object.groupBy(sample, ({ path }) => path[0] ?? '');
  assert.deepEqual(
    Object.entries(folders).map(([folder, some]) => [folder, some?.length]),
    [
      ['a', 5],
      ['b', 5],
      ['c', 3],
    ],
  );
  assert.deepEqual(
    sample.slice(0, 6).map(({ path }) => path[0]),
    ['a', 'b', 'c', 'a', 'b', 'c'],
  );
  assert.equal(new Set(sample).size, sample.length);
  assert.deepEqual(sampleOf(all, 7, 5), sample);
  assert.notDeepEqual(sampleOf(all, 8, 5), sample);
  assert.deepEqual(new Set(sampleOf(all, 7)), new Set(all));
});

const SOURCE = `export const called = (what: boolean): number => (what ? 1 : 2);\nexport const never = (): number => 3;\n`;

test('a test is asked about what it executes, in its own process or in one that it starts', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  mkdirSync(at('counts'));
  writeFileSync(at('source.ts'), SOURCE);
  writeFileSync(at('child.ts'), "import { called } from './source.ts'; called(true);");
  const start = "import { execFileSync } from 'node:child_process'; execFileSync(process.execPath, ['child.ts']);";
  writeFileSync(at('a.test.ts'), start);
  assert.equal((await runTest(folder.path, 'a.test.ts', 60_000, { NODE_V8_COVERAGE: at('counts') })).end, 'passed');
  writeFileSync(at('counts/torn.json'), '{"result":[{"url"');
  const covers = readCoverage(at('counts'), folder.path, ['source.ts', 'other.ts']);
  const offsets = ['what ?', '1 :', '2)', '3;'].map((text) => SOURCE.indexOf(text));
  assert.deepEqual(
    offsets.map((offset) => covers('source.ts', offset)),
    [true, true, false, false],
  );
  assert.equal(covers('other.ts', 0), false);
});

test('a test that does not end is stopped with all that it has started', async () => {
  await using folder = await temporaryFolder();
  writeFileSync(join(folder.path, 'a.test.ts'), 'setInterval(() => {}, 1000);');
  assert.equal((await runTest(folder.path, 'a.test.ts', 500)).end, 'timeout');
  writeFileSync(join(folder.path, 'b.test.ts'), 'process.exitCode = 1;');
  assert.equal((await runTest(folder.path, 'b.test.ts', 60_000)).end, 'failed');
});
