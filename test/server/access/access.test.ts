/** Who may do what: tokens and roles, on the interface for programs and on the pages. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createAccess } from '../../../src/server/access/access.ts';
import { digestOf, MOST_TOKENS, ROLES, tokenIn, tokensJson } from '../../../src/server/access/tokens.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import type { Store } from '../../../src/server/store/store.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { refusalOf } from '../../support/command-line.ts';
import { accessWith } from '../../support/fleet-tokens.ts';
import { readDescription } from '../../support/openapi-answers.ts';
import { idOf, TestFleet, TOKEN, VIEWER } from '../pages/fleet.ts';

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const someStore = (): Store => sqliteStore(openDatabase(':memory:', { durable: false }));
let site: TestFleet;

before(async () => {
  site = await (await (await new TestFleet().fill(30)).disturb()).start();
});
after(() => site[Symbol.asyncDispose]());

const ask = async (method: string, url: string, headers: Record<string, string>, body?: object) => {
  const { statusCode, body: text } = await site.app.inject({
    method: method as 'GET',
    url,
    headers,
    ...(body ? { payload: body } : {}),
  });
  return {
    status: statusCode,
    ...(JSON.parse(text) as { code?: string; token?: string; tokens?: { name: string }[] }),
  };
};

test('a viewer may ask for everything that operators see, and change nothing; a host neither', async () => {
  const { operations } = await readDescription(site.app);
  const guarded = operations.filter(({ security = [] }) =>
    security.some((one) => 'viewer' in one || 'operator' in one),
  );
  assert.ok(guarded.filter(({ method }) => method !== 'GET').length >= 4);
  await site.access.add({ name: 'a-host', role: 'machine' });
  for (const { method, path } of guarded) {
    const url = path
      .replace('{group}', 'web')
      .replace(/\{(id|holder)\}/, idOf(1))
      .replace('{name}', 'nobody')
      .replace('{channel}', 'stable');
    const asViewer = await site.app.inject({ method: method as 'GET', url, headers: bearer(VIEWER) });
    assert.equal(asViewer.statusCode, method === 'GET' ? 200 : 403, `${method} ${url}`);
    const asHost = await site.app.inject({ method: method as 'GET', url, headers: bearer('made-1') });
    assert.deepEqual([asHost.statusCode, asHost.json().code], [403, 'forbidden'], `${method} ${url}`);
    const asNobody = await site.app.inject({ method: method as 'GET', url });
    assert.deepEqual([asNobody.statusCode, asNobody.json().code], [401, 'denied'], `${method} ${url}`);
  }
  assert.equal((await site.locks.show('web', site.now)).holders.length, 2);
});

test('where no token is known nobody may do anything', async () => {
  await using store = someStore();
  const access = createAccess({ store, now: () => site.now, secret: () => 'x' });
  assert.equal(access.isOpenToHosts, false);
  for (const token of [undefined, '', 'x', TOKEN]) assert.equal(await access.holderOf(token), undefined);
});

test('the first start makes what is missing and tells it; the next one makes nothing', async () => {
  await using store = someStore();
  let made = 0;
  const options = { store, now: () => site.now, secret: () => `secret-${++made}` };
  const first = await createAccess(options).begin({ renew: false });
  assert.deepEqual(Object.keys(first).toSorted(), ['machine', 'operator']);
  const access = createAccess(options);
  assert.deepEqual(await access.begin({ renew: false }), {});
  assert.deepEqual(await access.holderOf(first.machine), { name: 'hosts', role: 'machine' });
  const { operator, ...others } = await access.begin({ renew: true });
  assert.deepEqual([await access.holderOf(first.operator), others], [undefined, {}]);
  assert.deepEqual(await access.holderOf(operator), { name: 'operator', role: 'operator' });
  await using another = someStore();
  const given = createAccess({ ...options, store: another, machines: { digest: digestOf('of-hosts') } });
  assert.deepEqual(Object.keys(await given.begin({ renew: false })), ['operator']);
  assert.equal((await given.holderOf('of-hosts'))?.role, 'machine');
  assert.equal(JSON.stringify(await store.read({ kind: 'access', id: 'tokens' })).includes('secret-'), false);
});

test('a token that is made is told once, is good, and is good no longer when it is revoked', async () => {
  const added = await ask('POST', '/v1/tokens', bearer(TOKEN), { name: 'grafana', role: 'viewer' });
  assert.equal(added.status, 201);
  assert.equal((await ask('GET', '/v1/machines', bearer(added.token ?? ''))).status, 200);
  const all = await ask('GET', '/v1/tokens', bearer(VIEWER));
  assert.ok(all.tokens?.some(({ name }) => name === 'grafana'));
  assert.doesNotMatch(JSON.stringify(all), /digest|made-/);
  const again = await ask('POST', '/v1/tokens', bearer(TOKEN), { name: 'grafana', role: 'operator' });
  assert.deepEqual([again.status, again.code], [409, 'token-exists']);
  const gone = await ask('DELETE', '/v1/tokens/grafana', bearer(TOKEN));
  assert.deepEqual([gone.status, gone.tokens?.some(({ name }) => name === 'grafana')], [200, false]);
  assert.equal((await ask('GET', '/v1/machines', bearer(added.token ?? ''))).status, 401);
  const twice = await ask('DELETE', '/v1/tokens/grafana', bearer(TOKEN));
  assert.deepEqual([twice.status, twice.code], [404, 'token-unknown']);
});

test('the last operator cannot be revoked, and there is an end to tokens', async () => {
  const last = await ask('DELETE', '/v1/tokens/operator', bearer(TOKEN));
  assert.deepEqual([last.status, last.code], [409, 'token-last']);
  await using store = someStore();
  const tokens = Array.from({ length: MOST_TOKENS }, (_, at) => ({
    name: `n${at}`,
    role: 'viewer' as const,
    digest: digestOf(String(at)),
    added: '2030-01-01T00:00:00.000Z',
  }));
  await store.update([{ kind: 'access', id: 'tokens' }], () => ({ write: [tokensJson(tokens)], result: undefined }));
  const access = createAccess({ store, now: () => site.now, secret: () => 'x' });
  assert.deepEqual(await access.add({ name: 'one-more', role: 'viewer' }), { refused: 'tokens-full' });
});

test('what one server has changed another knows after five seconds, and no earlier does it ask', async () => {
  await using store = someStore();
  let now = site.now.getTime();
  let reads = 0;
  const counted: Store = { ...store, read: (key) => store.read(key).finally(() => reads++) };
  const one = await accessWith(store, { operator: digestOf('o') });
  const other = createAccess({ store: counted, now: () => new Date(now), secret: () => '' });
  const holders = async () => Promise.all([other.holderOf('o'), other.holderOf('made-1')]);
  assert.deepEqual(await holders(), [{ name: 'operator', role: 'operator' }, undefined]);
  await one.add({ name: 'later', role: 'viewer' });
  assert.deepEqual([(await holders())[1], reads], [undefined, 1]);
  now += 5_001;
  assert.deepEqual([(await holders())[1]?.name, reads], ['later', 2]);
  now -= 60_000;
  await holders();
  assert.equal(reads, 3, 'a clock that was set back keeps nothing alive');
});

test('a document of tokens that is damaged lets nobody in', async () => {
  await using store = someStore();
  const key = { kind: 'access', id: 'tokens' };
  const good = { name: 'a', role: 'operator', digest: digestOf('a'), added: '2030-01-01T00:00:00.000Z' };
  for (const broken of [
    1,
    {},
    { schema: 1, tokens: [{ ...good, role: 'root' }] },
    { schema: 1, tokens: [{ ...good, digest: '' }] },
  ]) {
    await store.update([key], () => ({ write: [broken as never], result: undefined }));
    const access = createAccess({ store, now: () => site.now, secret: () => '' });
    assert.equal(await refusalOf(access.holderOf('a')), 'store-document-invalid', JSON.stringify(broken));
  }
});

test('a token is read from both kinds of header, and nothing else is one', () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  assert.equal(tokenIn('Bearer abc'), 'abc');
  assert.equal(tokenIn(basic('who:abc')), 'abc');
  for (const header of [
    undefined,
    '',
    'Bearer ',
    'Bearer a b',
    'bearer abc',
    'abc',
    basic('abc'),
    basic(':'),
    `Bearer ${'a'.repeat(257)}`,
  ])
    assert.equal(tokenIn(header), undefined, String(header));
  assert.deepEqual([...ROLES], ['machine', 'viewer', 'operator']);
});
