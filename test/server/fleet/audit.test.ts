/** The audit log: whatever changes something leaves an entry that says who, from where and what. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { UpdateError } from '../../../src/errors.ts';
import { type AuditEntry, lastEntries, noted } from '../../../src/server/fleet/audit.ts';
import { readDescription } from '../../support/openapi-answers.ts';
import { idOf, NOW, OPERATOR_SESSION, TestFleet, TOKEN, VIEWER, VIEWER_SESSION } from '../pages/fleet.ts';

const OPERATOR = { authorization: `Bearer ${TOKEN}` };
const COOKIE = { cookie: OPERATOR_SESSION.cookie };
let site: TestFleet;

before(async () => {
  site = await (await new TestFleet().fill(30)).disturb();
  const aborted = new Set<string>();
  site.abort = async (_channel, version) => {
    if (aborted.has(version)) throw new UpdateError('rollout-state', 'The channel offers 2.0.3 by now.');
    aborted.add(version);
  };
  await site.start();
});
after(() => site[Symbol.asyncDispose]());

type Method = 'POST' | 'PUT' | 'DELETE';
const ask = (method: Method, url: string, body?: object) =>
  site.app.inject({ method, url, headers: OPERATOR, ...(body ? { payload: body } : {}) });
const post = (url: string, fields: Record<string, string>, headers: Record<string, string> = COOKIE) =>
  site.app.inject({
    method: 'POST',
    url,
    headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ form: OPERATOR_SESSION.form, ...fields }).toString(),
  });
const entries = async () =>
  (await site.app.inject({ url: '/v1/audit?limit=1000', headers: OPERATOR })).json().entries as AuditEntry[];

/** Each deed once, with what its entry is about. An operation that is missing here fails the test below. */
const DEEDS: Readonly<Record<string, readonly [() => Promise<{ statusCode: number }>, Partial<AuditEntry>]>> = {
  'PUT /v1/locks/{group}': [
    () => ask('PUT', '/v1/locks/web', { max: 3 }),
    { what: 'lock-resized', about: 'web: 3 at once' },
  ],
  'DELETE /v1/locks/{group}/{holder}': [
    () => ask('DELETE', `/v1/locks/web/${idOf(1)}`),
    { what: 'lock-freed', about: `${idOf(1)} in web` },
  ],
  'POST /v1/tokens': [
    () => ask('POST', '/v1/tokens', { name: 'grafana', role: 'viewer' }),
    { what: 'token-added', about: 'grafana, viewer' },
  ],
  'DELETE /v1/tokens/{name}': [() => ask('DELETE', '/v1/tokens/grafana'), { what: 'token-revoked', about: 'grafana' }],
  'POST /rollouts/{channel}/readmit': [
    () => post('/rollouts/stable/readmit', { machine: idOf(4) }),
    { what: 'machine-readmitted', about: `${idOf(4)}: 2.1.0 in stable` },
  ],
  'POST /v1/rollouts/{channel}/readmit': [
    () => ask('POST', '/v1/rollouts/stable/readmit', {}),
    { what: 'machine-readmitted', about: 'all that failed: 2.1.0 in stable' },
  ],
  'POST /rollouts/{channel}/pause': [
    () => post('/rollouts/stable/pause', { reason: 'disks\nfail' }),
    { what: 'rollout-paused', about: '2.1.0 in stable', reason: 'disks fail' },
  ],
  'POST /rollouts/{channel}/resume': [
    () => post('/rollouts/stable/resume', {}),
    { what: 'rollout-resumed', about: '2.1.0 in stable' },
  ],
  'POST /rollouts/{channel}/abort': [
    () => post('/rollouts/stable/abort', { version: '2.1.0', reason: 'it breaks' }),
    { what: 'rollout-aborted', about: '2.1.0 in stable', reason: 'it breaks' },
  ],
  'POST /locks/{group}/{holder}': [
    () => post(`/locks/web/${idOf(34)}`, {}),
    { what: 'lock-freed', about: `${idOf(34)} in web` },
  ],
  'DELETE /v1/machines/{id}/secret': [
    () => ask('DELETE', `/v1/machines/${idOf(2)}/secret`),
    { what: 'machine-reset', about: idOf(2) },
  ],
  'POST /machines/{id}/reset': [
    () => post(`/machines/${idOf(3)}/reset`, {}),
    { what: 'machine-reset', about: idOf(3) },
  ],
  'DELETE /v1/machines/{id}': [
    () => ask('DELETE', `/v1/machines/${idOf(2)}`),
    { what: 'machine-forgotten', about: idOf(2) },
  ],
  'POST /machines/{id}/forget': [
    () => post(`/machines/${idOf(3)}/forget`, {}),
    { what: 'machine-forgotten', about: idOf(3) },
  ],
  'POST /sign-in': [() => post('/sign-in', { token: TOKEN }), { what: 'signed-in' }],
};

test('whatever an operator can change leaves one entry, and the same again, which changes nothing, none', async () => {
  const { operations } = await readDescription(site.app);
  const isHosts = (security: readonly object[]) => security.some((one) => 'machine' in one);
  const changing = operations.filter(({ method, security = [] }) => method !== 'GET' && !isHosts(security));
  const names = changing.map(({ method, path }) => `${method} ${path}`).filter((one) => !/HEAD|sign-out/.test(one));
  assert.deepEqual(names.toSorted(), Object.keys(DEEDS).toSorted());
  for (const [name, [deed, wanted]] of Object.entries(DEEDS)) {
    const known = (await entries()).length;
    site.now = new Date(site.now.getTime() + 1000);
    const { statusCode } = await deed();
    assert.ok(statusCode < 400, `${name}: ${statusCode}`);
    const [entry, ...others] = await entries();
    assert.deepEqual(entry, { at: site.now.toISOString(), who: 'operator', from: '127.0.0.1', ...wanted }, name);
    assert.equal(others.length, known, name);
    if (wanted.what === 'signed-in') continue;
    await deed();
    assert.equal((await entries()).length, known + 1, `${name}, again`);
  }
});

test('a sign-in that fails is kept, and counted when it is tried again', async () => {
  const wrong = () => post('/sign-in', { token: 'wrong' }, {});
  for (let times = 0; times < 3; times += 1) await wrong();
  const failed = (await entries()).filter(({ what, from }) => what === 'sign-in-failed' && from === '127.0.0.1');
  assert.deepEqual(
    failed.map(({ who, from, times }) => [who, from, times]),
    [['nobody', '127.0.0.1', 3]],
  );
  assert.doesNotMatch(JSON.stringify(await entries()), /wrong|of-an-operator/);
});

test('whoever only knocks cannot push out what was changed, and the log has an end', async () => {
  const changed = (await lastEntries(site.store, 1000)).filter(({ what }) => what === 'rollout-paused').length;
  assert.ok(changed > 0);
  const at = NOW.toISOString();
  for (let one = 0; one < 600; one += 1)
    await noted(site.store, { at, what: 'sign-in-failed', who: 'nobody', from: `10.0.${one >> 8}.${one & 255}` });
  const kept = await lastEntries(site.store, 2000);
  assert.equal(kept.filter(({ what }) => what === 'rollout-paused').length, changed);
  assert.equal(kept.filter(({ what }) => what.includes('sign')).length, 500);
  const long = 'x'.repeat(240);
  for (let one = 0; one < 300; one += 1)
    await noted(site.store, { at, what: 'token-added', who: long, from: long, about: `${one}${'x'.repeat(230)}` });
  const document = await site.store.read({ kind: 'audit', id: 'changes' });
  const length = JSON.stringify(document).length;
  assert.ok(length < 150_100 && length > 140_000, String(length));
  assert.match(JSON.stringify(document), /"299xxx/);
});

test('a log that is damaged keeps nobody from acting, and what is still an entry is kept', async () => {
  const good: AuditEntry = { at: NOW.toISOString(), what: 'lock-freed', who: 'a', from: 'b' };
  for (const [broken, left] of [
    [{ entries: 1 }, 0],
    ['text', 0],
    [[good, { ...good, what: 'other' }, null, { ...good, who: 7 }, { ...good, who: 'two\nlines' }], 2],
  ] as const) {
    await site.put('audit', [['changes', broken]]);
    await noted(site.store, { ...good, about: 'the next' });
    const kept = await lastEntries(site.store, 1000);
    assert.equal(kept.filter(({ what }) => what === 'lock-freed').length, left + 1, JSON.stringify(broken));
  }
});

test('a viewer may read the log, on the page and as JSON', async () => {
  const { cookie } = VIEWER_SESSION;
  const page = await site.app.inject({ url: '/audit', headers: { cookie } });
  assert.match(page.body, /sign-in failed/);
  assert.equal(
    (await site.app.inject({ url: '/v1/audit', headers: { authorization: `Bearer ${VIEWER}` } })).statusCode,
    200,
  );
});
