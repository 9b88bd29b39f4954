/** Who asks for the lock by FleetLock: ids are text, as node names and UUIDs are; each is taken, kept, shown and freed as it is, or refused. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { createRebootLocks } from '../../src/server/fleet/reboot-locks.ts';
import { confirmFreeing } from '../../src/server/pages/confirm.ts';
import { html } from '../../src/server/pages/html.ts';
import { locksPage } from '../../src/server/pages/locks.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { refusalOf } from '../support/command-line.ts';
import { readDescription } from '../support/openapi-answers.ts';
import { TestFleet, TOKEN } from './pages/fleet.ts';

const OPERATOR = { authorization: `Bearer ${TOKEN}` };
const DEFAULTS = { max: 1, maxFailures: 0, deadlineSeconds: 60 };
let site: TestFleet;

before(async () => {
  site = await new TestFleet().start();
  await site.locks.setMax('ids', 1);
});
after(() => site[Symbol.asyncDispose]());

const ask = (verb: string, id: unknown, group = 'ids'): Promise<Response> =>
  fetch(`${site.url}/v1/${verb}`, {
    method: 'POST',
    headers: { 'fleet-lock-protocol': 'true' },
    body: JSON.stringify({ client_params: { id, group } }),
  });

const VIEWER = { name: 'ana', mayChange: true, formToken: '' };

async function locksAsPage(): Promise<string> {
  const [all, census] = [await site.locks.all(9, site.now), await site.census.latest()];
  return locksPage({ ...all, census }, VIEWER, site.now).body.html;
}

const escaped = (text: string): string => html`${text}`.html;

const freeing = (id: string): string => `${site.url}/v1/locks/ids/${encodeURIComponent(id)}`;

const TEXTUAL = [
  'node-1.example.com',
  'C988D250-9FDF-4CDC-BED3-9037C56406FB',
  'c988d2509fdf4cdcbed39037c56406fb',
  'rack 7/node 3',
  'bücherei',
  '日本-1',
  '%2e%2e',
  'a?b#c&d=e+f',
  `"><script>`,
  '...',
  '__proto__',
  'n'.repeat(255),
];

for (const id of TEXTUAL)
  test(`a host may call itself ${id.slice(0, 40)}: it holds the lock, is shown, and gives it back or is freed`, async () => {
    for (const end of ['given back', 'freed']) {
      assert.equal((await ask('pre-reboot', id)).status, 200);
      assert.equal((await ask('pre-reboot', id)).status, 200, 'granted again');
      assert.deepEqual((await ask('pre-reboot', 'another')).status, 409);
      const { holders } = await site.locks.show('ids', site.now);
      assert.deepEqual(
        holders.map((one) => one.id),
        [id],
      );
      const page = await locksAsPage();
      assert.ok(page.includes(`href="/locks/ids/${escaped(encodeURIComponent(id))}"`), page);
      const question = confirmFreeing('ids', id, VIEWER).body.html;
      assert.ok(question.includes(escaped(id)) && !question.includes('"><script>'), question);
      if (end === 'given back') await ask('steady-state', id);
      else assert.equal((await fetch(freeing(id), { method: 'DELETE', headers: OPERATOR })).status, 200);
      assert.deepEqual((await site.locks.show('ids', site.now)).holders, []);
    }
  });

test('case counts: two hosts whose names differ in it alone are two', async () => {
  assert.equal((await ask('pre-reboot', 'Node')).status, 200);
  assert.equal((await ask('pre-reboot', 'node')).status, 409);
  assert.equal((await ask('steady-state', 'node')).status, 200);
  assert.equal((await ask('pre-reboot', 'node')).status, 409, 'nobody else has freed it');
  await ask('steady-state', 'Node');
});

const UNCLEAN: readonly unknown[] = [
  ...['', ' ', ' a', 'a ', 'a\n', 'a\tb', 'a  b', 'a\u0000b', '\u202eevil', 'a\u200bb', '\u001b[2J'],
  ...['\ud800', 'n'.repeat(256), '💥'.repeat(256), '.', '..', 7, null, ['a'], {}],
];

test('an id that is not one clean line is refused in the protocol’s words, never made into another one', async () => {
  for (const id of UNCLEAN)
    for (const verb of ['pre-reboot', 'steady-state']) {
      const answer = await ask(verb, id, 'unclean');
      const { kind, value, ...rest } = (await answer.json()) as Record<string, unknown>;
      assert.deepEqual([answer.status, kind, rest], [400, 'request-invalid', {}], JSON.stringify(id));
      assert.match(String(value), /client_params|body/);
    }
  assert.equal(await site.store.read({ kind: 'lock', id: 'unclean' }), undefined);
});

test('what the store keeps of a holder it reads again, whatever the holder is called; what it would not read it does not write', async () => {
  const letter = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme', maxLength: 300 }));
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const locks = createRebootLocks(store, DEFAULTS);
  let groups = 0;
  await fc.assert(
    fc.asyncProperty(letter, async (id) => {
      const group = `group-${groups++}`;
      const refusal = await refusalOf(locks.take(group, id, new Date(0)));
      const { holders } = await locks.show(group, new Date(0));
      const kept = holders.map((one) => one.id);
      assert.deepEqual([refusal, kept], kept.length > 0 ? ['none', [id]] : ['document-invalid', []]);
    }),
    { numRuns: 60 },
  );
});

test('a thousand holders with the longest of names are one document that can be read', async () => {
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const locks = createRebootLocks(store, { ...DEFAULTS, max: 1000 });
  const nameOf = (at: number): string => `${'💥'.repeat(251)}${1000 + at}`;
  const others = Array.from({ length: 999 }, (_, at) => ({
    ...{ id: nameOf(at), name: nameOf(at), hardware: '', phase: 'rebooting', deadlineSeconds: 60 },
    ...{ since: '2030-01-01T00:00:00.000Z', why: '界'.repeat(200) },
  }));
  const document = { schema: 1, max: 1000, maxFailures: 1000, holders: others, failures: [] };
  await store.update([{ kind: 'lock', id: 'web' }], () => ({ write: [document], result: undefined }));
  assert.equal(await locks.take('web', nameOf(999), new Date(0)), undefined);
  assert.equal((await locks.show('web', new Date(0))).holders.length, 1000);
});

test('these addresses refuse another method in the protocol’s words, and name the one they take', async () => {
  for (const path of ['/v1/pre-reboot', '/v1/steady-state?x=1'])
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await fetch(site.url + path, { method });
      const { kind, value, ...rest } = (await answer.json()) as Record<string, unknown>;
      assert.deepEqual([answer.status, kind, rest], [405, 'method-not-allowed', {}], `${method} ${path}`);
      assert.match(String(value), new RegExp(`POST, not ${method}`));
      assert.equal(answer.headers.get('allow'), 'POST');
    }
  const elsewhere = (await (await fetch(`${site.url}/v1/pre-reboot/x`)).json()) as Record<string, unknown>;
  assert.equal(elsewhere['code'], 'not-found');
});

test('the description says that the header of the protocol must be there', async () => {
  const { operations } = await readDescription(site.app);
  const described = (await site.app.inject('/openapi.json')).json() as {
    paths: Record<string, { post: { parameters: object[] } }>;
  };
  assert.ok(operations.length > 0);
  for (const path of ['/v1/pre-reboot', '/v1/steady-state']) {
    const [header, ...others] = (described.paths[path]?.post.parameters ?? []) as Record<string, unknown>[];
    assert.deepEqual(
      [header?.['name'], header?.['in'], header?.['required']],
      ['fleet-lock-protocol', 'header', true],
      path,
    );
    assert.deepEqual(
      others.filter(({ required }) => required),
      [],
    );
  }
});
