/** Every refusal has a code of its own, a sentence and a next step, wherever on its way the request ends. */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { ERRORS } from '../../src/errors.ts';
import { type Description, readDescription } from '../support/openapi-answers.ts';
import { idOf, TestFleet, TOKEN } from './pages/fleet.ts';

const OPERATOR = { authorization: `Bearer ${TOKEN}` };
const JSON_TYPE = { 'content-type': 'application/json' };
let site: TestFleet;
let description: Description;

before(async () => {
  site = await (await new TestFleet().fill(3)).start();
  description = await readDescription(site.app);
});
after(() => site[Symbol.asyncDispose]());

type Case = Readonly<{ code: keyof typeof ERRORS; status: number; method?: string; path: string; init?: RequestInit }>;

const post = (body: string, headers: Record<string, string> = JSON_TYPE): RequestInit => ({ body, headers });

const CASES: readonly Case[] = [
  { code: 'not-found', status: 404, path: '/nothing/here' },
  { code: 'not-found', status: 404, method: 'DELETE', path: '/nothing/here' },
  { code: 'method-not-allowed', status: 405, method: 'DELETE', path: '/v1/check-in' },
  { code: 'method-not-allowed', status: 405, method: 'POST', path: '/targets/a/b?c=/', init: post('{') },
  { code: 'method-not-allowed', status: 405, method: 'QUERY', path: '/healthz' },
  { code: 'request-invalid', status: 400, method: 'POST', path: '/v1/check-in', init: post('{"schema":2}') },
  { code: 'request-invalid', status: 400, method: 'POST', path: '/v1/check-in', init: post('{') },
  { code: 'request-invalid', status: 400, path: '/v1/machines?limit=1e3', init: { headers: OPERATOR } },
  { code: 'request-invalid', status: 400, path: '/v1/machines?limit=1&limit=2', init: { headers: OPERATOR } },
  { code: 'request-invalid', status: 400, path: '/v1/machines/%ff' },
  { code: 'request-invalid', status: 400, path: `/v1/machines/${'a'.repeat(200)}`, init: { headers: OPERATOR } },
  { code: 'request-too-large', status: 413, method: 'POST', path: '/v1/check-in', init: post(' '.repeat(16_385)) },
  {
    code: 'request-too-large',
    status: 413,
    method: 'PUT',
    path: '/v1/locks/a',
    init: { ...post(' '.repeat(65_537)), headers: { ...JSON_TYPE, ...OPERATOR } },
  },
  {
    code: 'request-type',
    status: 415,
    method: 'POST',
    path: '/v1/check-in',
    init: post('{}', { 'content-type': 'a/b' }),
  },
  { code: 'denied', status: 401, path: '/v1/machines' },
  { code: 'denied', status: 401, path: '/v1/machines', init: { headers: { authorization: 'Bearer another' } } },
  { code: 'machine-unknown', status: 404, path: `/v1/machines/${'f'.repeat(32)}`, init: { headers: OPERATOR } },
  { code: 'lock-not-held', status: 404, method: 'DELETE', path: `/v1/locks/a/${idOf(1)}`, init: { headers: OPERATOR } },
  { code: 'file-missing', status: 404, path: '/metadata/99.root.json' },
  { code: 'range-beyond-end', status: 416, path: '/targets/file', init: { headers: { range: 'bytes=9-' } } },
];

for (const { code, status, method = 'GET', path, init } of CASES)
  test(`${method} ${path.slice(0, 60)} is refused as ${code}`, async () => {
    site.file('targets/file', 'abc');
    const answer = await fetch(site.url + path, { ...init, method });
    const text = await answer.text();
    const { code: said, message, next } = JSON.parse(text) as Record<string, string>;
    assert.deepEqual([said, answer.status, next], [code, status, ERRORS[code].next], text);
    assert.match(message ?? '', /\S/);
    const operation = description.operationAt(method, path);
    const answered = { status, type: answer.headers.get('content-type') ?? '', body: text };
    if (operation) assert.equal(description.faultOf(operation, answered), undefined);
  });

test('a method that an address is not asked with is answered with those that it is', async () => {
  const byPath = Map.groupBy(description.operations, ({ path }) => path);
  for (const [path, operations] of byPath) {
    const answer = await fetch(site.url + path.replace(/\{\w+\}/g, 'a1'), { method: 'PATCH' });
    const allowed = operations.map(({ method }) => method).toSorted();
    assert.deepEqual([answer.status, answer.headers.get('allow')], [405, allowed.join(', ')], path);
  }
});

const spoken = (bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(Number(new URL(site.url).port), '127.0.0.1', () => socket.end(bytes));
    socket.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    socket.on('error', reject).on('close', () => resolve(said));
  });

test('what is not HTTP, and headers without end, are refused in the same words', async () => {
  for (const [bytes, status, code] of [
    ['\u0016\u0003\u0001 hello', 400, 'request-invalid'],
    ['GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'request-invalid'],
    ['GET /healthz HTTP/1.1\r\nhost: a\r\nexpect: more\r\nconnection: close\r\n\r\n', 417, 'request-invalid'],
    [`GET / HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`, 431, 'request-too-large'],
  ] as const) {
    const [head = '', body = ''] = (await spoken(bytes)).split('\r\n\r\n');
    assert.ok(head.startsWith(`HTTP/1.1 ${status} `), head);
    const said = JSON.parse(body) as Record<string, string>;
    assert.deepEqual([said['code'], said['next']], [code, ERRORS[code].next]);
  }
});

test('a request that does not arrive in time is told so', () => {
  const socket = new PassThrough();
  const late = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  site.app.server.emit('clientError', late, socket);
  socket.on('error', () => undefined);
  const [head = '', body = ''] = String(socket.read()).split('\r\n\r\n');
  assert.match(head, /^HTTP\/1.1 408 /);
  assert.equal((JSON.parse(body) as Record<string, string>)['code'], 'request-slow');
});

const UPGRADES: Readonly<Record<string, readonly [start: string, status: number]>> = {
  'a known address': ['POST /v1/check-in HTTP/1.1\r\ncontent-type: application/json', 400],
  'an address that no router takes': ['GET /rollouts/%/ HTTP/1.1', 400],
  'an address that leads nowhere': ['GET /nowhere HTTP/1.1', 404],
  'an expectation': ['GET / HTTP/1.1\r\nexpect: the-impossible', 417],
};

for (const [what, [start, status]] of Object.entries(UPGRADES))
  test(`a request for another protocol is answered in this one, and its connection closed: ${what}`, async () => {
    const head = `${start}\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\n`;
    const said = await spoken(`${head}{}`);
    assert.match(said, new RegExp(`^HTTP/1.1 ${status} `));
    assert.match(said, /\r\nconnection: close\r\n/i);
  });

test('the body of a form and of FleetLock has a limit, too', async () => {
  const body = 'x'.repeat(4097);
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  for (const [path, headers] of [
    ['/sign-in', form],
    ['/v1/pre-reboot', JSON_TYPE],
  ] as const)
    assert.equal((await fetch(site.url + path, { method: 'POST', body, headers })).status, 413, path);
});
