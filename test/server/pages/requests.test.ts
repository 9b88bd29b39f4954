/** The pages as requests: who may ask, which forms count, and that nothing from outside becomes markup. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { cookieOf, formTokenOf, isSameSite, keyIn } from '../../../src/server/access/session-cookie.ts';
import { below } from '../../../src/server/pages/below.ts';
import { html } from '../../../src/server/pages/html.ts';
import { idOf, NOW, OPERATOR_SESSION, someMachine, TestFleet, TOKEN, VIEWER, VIEWER_SESSION } from './fleet.ts';

const { cookie: COOKIE, form: FORM } = OPERATOR_SESSION;
let site: TestFleet;

before(async () => {
  site = await (await (await new TestFleet().fill(300)).disturb()).start();
});
after(() => site[Symbol.asyncDispose]());

const get = (url: string, headers: Record<string, string> = { cookie: COOKIE }) => site.app.inject({ url, headers });
const post = (url: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  site.app.inject({
    method: 'POST',
    url,
    headers: { cookie: COOKIE, 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(fields).toString(),
  });

test('every page and every deed asks for the token of an operator', async () => {
  const paths = ['/', '/rollouts', '/rollouts/stable', '/rollouts/stable/pause', '/locks', '/failures', '/machines'];
  for (const path of [...paths, `/machines/${idOf(1)}`, `/locks/web/${idOf(1)}`])
    for (const headers of [{}, { cookie: 'tandem=d3Jvbmc' }, { cookie: 'tandem=' }]) {
      const { statusCode, headers: answered } = await get(path, headers as Record<string, string>);
      assert.deepEqual([statusCode, answered.location], [303, below(path, '/sign-in')], path);
    }
  const { headers } = await post('/rollouts/stable/pause', { form: FORM, reason: 'x' }, { cookie: '' });
  assert.equal(headers.location, '../../sign-in');
  assert.equal((await site.fleet.ledger('stable', NOW)).braked, undefined);
});

test('a viewer sees every page without what changes something, and no form of his does anything', async () => {
  const { cookie, form } = VIEWER_SESSION;
  const forms = { form, reason: 'x' };
  for (const path of [
    '/',
    '/rollouts',
    '/rollouts/stable',
    '/locks',
    '/failures',
    '/machines',
    `/machines/${idOf(1)}`,
  ]) {
    const { statusCode, body } = await get(path, { cookie });
    assert.equal(statusCode, 200, path);
    assert.doesNotMatch(body, /\/(pause|resume|abort)"|Free…/, path);
  }
  assert.match((await get('/rollouts/stable')).body, /\/pause"/);
  for (const path of ['/rollouts/stable/pause', '/rollouts/stable/resume', `/locks/web/${idOf(1)}`]) {
    assert.equal((await get(path, { cookie })).statusCode, 403, path);
    assert.equal((await post(path, forms, { cookie })).statusCode, 403, path);
  }
  assert.equal((await site.fleet.ledger('stable', NOW)).braked, undefined);
  assert.equal((await site.locks.show('web', NOW)).holders.length, 2);
  assert.equal((await post('/sign-in', { token: VIEWER })).statusCode, 303);
  assert.equal((await post('/sign-out', forms, { cookie })).headers.location, './sign-in');
});

test('a form that is not from a page of ours changes nothing', async () => {
  const foreign = [
    [{ reason: 'x' }, {}],
    [{ reason: 'x', form: formTokenOf('another') }, {}],
    [{ reason: 'x', form: FORM }, { origin: 'https://evil.example' }],
    [{ reason: 'x', form: FORM }, { origin: 'null' }],
    [{ reason: 'x', form: FORM }, { 'sec-fetch-site': 'cross-site' }],
    [{ reason: 'x', form: FORM }, { 'sec-fetch-site': 'same-site' }],
  ] as const;
  for (const [fields, headers] of foreign) {
    const { statusCode } = await post('/rollouts/stable/pause', fields, headers);
    assert.equal(statusCode, 403, JSON.stringify([fields, headers]));
  }
  assert.equal((await site.fleet.ledger('stable', NOW)).braked, undefined);
  assert.equal((await post('/sign-in', { token: TOKEN }, { origin: 'https://evil.example' })).statusCode, 403);
});

test('a pause needs a reason of one line, and the same deed twice is one', async () => {
  assert.equal((await post('/rollouts/stable/pause', { form: FORM, reason: ' \n ' })).statusCode, 400);
  assert.equal((await post('/rollouts/stable/pause', { form: FORM, reason: 'first\nline' })).statusCode, 303);
  assert.equal((await post('/rollouts/stable/pause', { form: FORM, reason: 'second' })).statusCode, 303);
  assert.equal((await site.fleet.ledger('stable', NOW)).braked?.reason, 'paused by an operator: first line');
  for (let times = 0; times < 2; times += 1)
    assert.equal((await post('/rollouts/stable/resume', { form: FORM })).statusCode, 303);
  assert.equal((await post('/rollouts/none/pause', { form: FORM, reason: 'x' })).statusCode, 404);
});

test('an abort is a question where the server can sign it, and a command where it cannot', async () => {
  assert.match((await get('/rollouts/stable/abort')).body, /updatectl rollout abort/);
  const refused = await post('/rollouts/stable/abort', { form: FORM, version: '2.1.0', reason: 'x' });
  assert.deepEqual([refused.statusCode, /does not hold the keys/.test(refused.body)], [409, true]);
  const asked: string[][] = [];
  await using other = await new TestFleet().fill(3);
  other.abort = async (...all) => void asked.push(all);
  await other.start();
  const headers = { cookie: COOKIE, 'content-type': 'application/x-www-form-urlencoded' };
  const page = await other.app.inject({ url: '/rollouts/stable/abort', headers: { cookie: COOKIE } });
  assert.match(page.body, /name="version" value="2.1.0"/);
  const send = (fields: Record<string, string>) =>
    other.app.inject({
      method: 'POST',
      url: '/rollouts/stable/abort',
      headers,
      payload: new URLSearchParams({ form: FORM, version: '2.1.0', ...fields }).toString(),
    });
  assert.equal((await send({ reason: ' ' })).statusCode, 400);
  assert.equal((await send({ reason: 'it breaks' })).headers.location, '../../rollouts/stable');
  assert.deepEqual(asked, [['stable', '2.1.0', 'it breaks']]);
});

test('of every failure all machines can be listed, not only some', async () => {
  const { body } = await get('/failures');
  const links = [...body.matchAll(/<strong>(\d+) machines<\/strong>[\s\S]*?href="\.(\/machines\?[^"]+)">(\d+) more</g)];
  assert.ok(links.length > 0);
  for (const [, machines, href = ''] of links) {
    const page = await get(href.replaceAll('&amp;', '&'));
    assert.equal(page.statusCode, 200, href);
    assert.equal(page.body.match(/<th scope="row"/g)?.length, Number(machines), href);
    assert.match(page.body, /Only machines whose last attempt failed/);
  }
  assert.equal((await get('/machines?code=no-such-code')).body.includes('No matching machines.'), true);
});

test('nothing is loaded from elsewhere or run from within a page, and nobody may frame it', async () => {
  for (const path of ['/', '/sign-in', '/assets/dashboard.js', '/machines?state=unheard-of']) {
    const policy = String((await get(path)).headers['content-security-policy']);
    for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"])
      assert.ok(policy.includes(rule), `${path}: ${policy}`);
    assert.doesNotMatch(policy, /unsafe/);
  }
});

test('a page that has not changed is not sent again', async () => {
  const { headers, body } = await get('/rollouts');
  assert.ok(body.length > 0);
  const again = await get('/rollouts', { cookie: COOKIE, 'if-none-match': String(headers.etag) });
  assert.deepEqual([again.statusCode, again.body], [304, '']);
});

test('what a machine says is shown as text', async () => {
  const evil = '<img src=x onerror=alert(1)>"\'&';
  const machine = { ...someMachine(4), machine: 'f'.repeat(32), agent: evil, waitingFor: evil, state: 'staged' };
  const outcome = { ...machine.outcome, code: evil, reason: evil };
  const events = [{ at: NOW.toISOString(), what: evil, version: '9', reason: evil }];
  await site.put('machine', [[machine.machine, { ...machine, outcome, events }]]);
  site.now = new Date(NOW.getTime() + 600_000);
  await site.census.keep();
  for (const path of [`/machines/${machine.machine}`, '/machines?id=ffff', '/failures', '/locks', '/']) {
    const { body, statusCode } = await get(path);
    assert.equal(statusCode, 200, path);
    assert.doesNotMatch(body, /<img/, path);
  }
});

test('whatever stands in a template cannot end a text or an attribute', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', ';', 'a', '=') }), (text) => {
      const { html: made } = html`<p title="${text}">${[text, undefined, false]}</p>`;
      assert.match(made, /^<p title="[^"<>]*">[^"<>]*<\/p>$/);
    }),
  );
});

test('whatever is asked for is answered without a failure of the server', async () => {
  const word = fc.oneof(fc.string(), fc.constantFrom('', '%', '..', '__proto__', 'f'.repeat(33), '\u0000'));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('machines', 'rollouts', 'locks', 'failures', 'locks/web', 'rollouts/stable', 'assets'),
      word,
      fc.constantFrom('id', 'version', 'state', 'group', 'after', 'other'),
      word,
      async (page, path, key, value) => {
        const { statusCode } = await get(`/${page}/${encodeURIComponent(path)}?${key}=${encodeURIComponent(value)}`);
        assert.ok(statusCode < 500, String(statusCode));
        const plain = await get(`/${page}?${key}=${encodeURIComponent(value)}`);
        assert.ok(plain.statusCode < 500, String(plain.statusCode));
      },
    ),
    { numRuns: 150 },
  );
});

test('the cookie gives back any key, and is for HTTPS alone where HTTPS is spoken', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,63}\.[A-Za-z0-9_-]{16,64}$/), (key) => {
      assert.equal(keyIn(`other=1; ${cookieOf(key, true).split(';')[0]}`), key);
    }),
  );
  assert.match(cookieOf('x', true), /; HttpOnly; SameSite=Strict; .*; Secure$/);
  assert.doesNotMatch(cookieOf('x', false), /Secure/);
  assert.equal(isSameSite({ origin: 'http://a:1', host: 'a:1', 'sec-fetch-site': 'same-origin' }), true);
  assert.equal(isSameSite({ origin: 'http://a:1', host: 'a:2' }), false);
});
