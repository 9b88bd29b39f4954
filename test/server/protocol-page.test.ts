/** The examples in the page on the protocol are what a server really says, and are as its description has them. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { emptyServer } from '../../packaging/openapi.ts';
import { ADMISSION_CODES } from '../../src/rollout/brake.ts';
import { HOLD_CODES } from '../../src/rollout/rollout.ts';
import { readDescription } from '../support/openapi-answers.ts';
import { tellStory, writtenDown } from '../support/protocol-story.ts';

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'protocol.md');
const EXAMPLE = /^```http ([a-z-]+)\n[\s\S]*?^```$/gm;

const story = await tellStory();

test('every example of the page is what is said now, and all of the story is in it', () => {
  const said = new Map(story.map((exchange) => [exchange.name, writtenDown(exchange)]));
  const page = readFileSync(PAGE, 'utf8');
  const renewed = page.replace(
    EXAMPLE,
    (_, name: string) => `\`\`\`http ${name}\n${said.get(name) ?? 'unknown\n'}\`\`\``,
  );
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(PAGE, renewed);
  else assert.equal(page, renewed, 'write it anew: UPDATE_GOLDEN=1 node --test test/server/protocol-page.test.ts');
  const shown = [...page.matchAll(EXAMPLE)].map(([, name = '']) => name);
  assert.deepEqual(shown.toSorted(), [...said.keys()].toSorted());
});

test('every request and every answer of the page is as the description has it', async () => {
  const { operationAt, faultOf, isLike } = await readDescription(await emptyServer());
  for (const { name, method, path, body, status, type, answer } of story) {
    const operation = operationAt(method, path);
    assert.ok(operation, path);
    assert.equal(faultOf(operation, { status, type, body: answer }), undefined, name);
    const [content] = Object.values(operation.requestBody?.content ?? {});
    if (content) assert.equal(isLike(content.schema, body, true), status !== 400, name);
  }
});

test('every reason to hold a host back is in the page', () => {
  const page = readFileSync(PAGE, 'utf8');
  for (const code of [...HOLD_CODES, ...ADMISSION_CODES])
    assert.match(page, new RegExp(`\\| .*\`${code}\`.* \\|`), code);
});
