/** The generated documents are those that the tables give now. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DOCS, renderDocs } from '../../packaging/docs.ts';
import { ERRORS } from '../../src/errors.ts';

const staleDocs = async (rendered: ReadonlyMap<string, string>): Promise<string[]> => {
  const stale: string[] = [];
  for (const [name, text] of rendered)
    if ((await readFile(join(DOCS, name), 'utf8').catch(() => '')) !== text) stale.push(name);
  return stale;
};

test('the generated documents are fresh', async () => {
  const rendered = await renderDocs();
  assert.deepEqual(await staleDocs(rendered), [], 'refresh them: npm run docs');
  assert.deepEqual(await staleDocs(new Map([['errors.md', 'old']])), ['errors.md']);
});

test('every error is documented with its next step', async () => {
  const text = (await renderDocs()).get('errors.md') ?? '';
  for (const [code, { next }] of Object.entries(ERRORS)) {
    assert.ok(text.includes(`\`${code}\``), code);
    assert.ok(text.includes(next.replace(/\|/g, '\\|')), code);
  }
});

test('the manual page is one that man can read', () => {
  const { status, stderr, error } = spawnSync('groff', ['-mandoc', '-Tutf8', '-ww', join(DOCS, 'updatectl.8')], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, error?.message ?? stderr);
  assert.equal(stderr, '');
});
