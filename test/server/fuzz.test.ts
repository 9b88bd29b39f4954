/** The whole interface asked at random, over a real socket, from its own description. `N=50` asks fifty times as much. */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { UpdateError } from '../../src/errors.ts';
import { digestOf } from '../../src/server/access/tokens.ts';
import { type FuzzedRequest, requestTo } from '../support/fuzzed-requests.ts';
import { type Answered, type Description, type Operation, readDescription } from '../support/openapi-answers.ts';
import { idOf, OPERATOR_SESSION, TestFleet, TOKEN, VIEWER, VIEWER_SESSION } from './pages/fleet.ts';

const TIMES = Number(process.env['N'] ?? 1);
/** Whatever takes longer than this hangs. */
const LONGEST_MS = 20_000;
const FILES = ['metadata/timestamp.json', 'targets/releases/acme/a.bundle', 'targets/empty'];
const SESSION = { cookie: OPERATOR_SESSION.cookie };
const OPERATOR = { authorization: `Bearer ${TOKEN}` };
const LOOKER = { authorization: `Bearer ${VIEWER}`, cookie: VIEWER_SESSION.cookie };
const MACHINE = { authorization: 'Bearer of-a-machine' };

let site: TestFleet;
let description: Description;
let anyRequest: fc.Arbitrary<FuzzedRequest>;
/** Of programs, not of browsers. */
let anyCall: fc.Arbitrary<FuzzedRequest>;

before(async () => {
  site = await (await new TestFleet().fill(60)).disturb();
  site.tokens = { ...site.tokens, machine: digestOf('of-a-machine') };
  for (const path of FILES) site.file(path, path.includes('empty') ? '' : `{"of":"${path}"}`);
  await site.start();
  description = await readDescription(site.app);
  // Names of files for the addresses below `metadata` and `targets`.
  const around = { paths: FILES.map((path) => path.replace(/^\w+\//, '')), headers: anyHeaders };
  const anyOf = (all: readonly Operation[]) => fc.oneof(...all.map((operation) => requestTo(operation, around)));
  anyRequest = anyOf(description.operations);
  anyCall = anyOf(calls());
});
after(() => site[Symbol.asyncDispose]());

const anyHeaders: fc.Arbitrary<Record<string, string>> = fc
  .tuple(
    fc.constantFrom<Record<string, string>>({}, MACHINE, OPERATOR, SESSION, LOOKER, { cookie: 'tandem=%00; tandem=' }),
    fc.constantFrom<Record<string, string>>(
      {},
      { authorization: 'Bearer' },
      { authorization: `Basic ${'A'.repeat(600)}` },
      { authorization: `Basic ${Buffer.from('a:b:c').toString('base64')}` },
      { authorization: `bearer ${TOKEN}` },
    ),
    fc.constantFrom<Record<string, string>>(
      {},
      ...[
        'bytes=0-',
        'bytes=5-2',
        'bytes=-0',
        'bytes=999999999999999-',
        'bytes=0-1,3-4',
        'lines=1-2',
        'bytes=-',
        'bytes=1',
      ].map((range) => ({ range })),
      { range: 'bytes=0-3', 'if-range': '"another"' },
      { 'if-none-match': '*' },
      { 'if-none-match': '"a", "b"' },
    ),
    fc.constantFrom<Record<string, string>>(
      {},
      { 'fleet-lock-protocol': 'true' },
      { 'fleet-lock-protocol': 'True' },
      { 'content-encoding': 'gzip' },
      { expect: 'the-impossible' },
      { origin: 'null' },
      { upgrade: 'websocket', connection: 'upgrade' },
      { 'x-forwarded-proto': 'https', 'accept-version': '9' },
      { te: 'trailers', accept: 'image/png' },
      { odd: '\u00ff\u0080', '!#$%': '' },
    ),
  )
  .map((all) => Object.assign({}, ...all) as Record<string, string>);

/** What opens an operation. */
function keyTo({ security, path }: Operation): Record<string, string> {
  const [scheme] = Object.keys(security[0] ?? {});
  const lock = /reboot|steady/.test(path) ? { 'fleet-lock-protocol': 'true' } : {};
  return { ...lock, ...(scheme === 'session' ? SESSION : scheme === 'machine' ? MACHINE : scheme ? OPERATOR : {}) };
}

function ask(
  { method, path, headers, body }: Omit<FuzzedRequest, 'operation' | 'isAsDescribed'>,
  url = site.url,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const length = body === undefined ? {} : { 'content-length': String(body.length) };
    const options = { hostname, port, method, path, headers: { ...headers, ...length }, timeout: LONGEST_MS };
    const asked = request(options, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const type = answer.headers['content-type'] ?? '';
        resolve({ status: answer.statusCode ?? 0, type, body: Buffer.concat(chunks).toString() });
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`${method} ${path} hangs`)));
    asked.on('error', (error: NodeJS.ErrnoException) => (isOurs(error, method) ? resolve(CLOSED) : reject(error)));
    asked.end(body);
  });
}

const CLOSED: Answered = { status: 0, type: '', body: '' };

/** Told before the whole body was sent, and the rest not read; or told with a body, because what was no HTTP was no HEAD either. */
const isOurs = ({ code = '' }: NodeJS.ErrnoException, method: string): boolean =>
  code === 'EPIPE' || code === 'ECONNRESET' || (method === 'HEAD' && code.startsWith('HPE_'));

/** What is wrong with an answer; undefined when nothing is. */
function faultOf(asked: FuzzedRequest, answer: Answered): string | undefined {
  const { method, path } = asked;
  if (answer.status === 0)
    return (asked.body?.length ?? 0) > 1000 || method === 'HEAD' ? undefined : 'the connection was closed';
  if (answer.status >= 500) return 'a failure of the server';
  const operation = description.operationAt(method, path);
  if (operation)
    return description.faultOf(operation, answer) ?? (method === 'HEAD' ? undefined : wordingFault(answer));
  if (answer.status < 400) return 'an answer where nothing is described';
  return method === 'HEAD' || answer.type.startsWith('text/html') ? undefined : wordingFault(answer);
}

/** A refusal to a program names a code, a sentence and a next step; FleetLock's a kind and a value. */
function wordingFault({ status, type, body }: Answered): string | undefined {
  if (status < 400 || type.startsWith('text/html')) return undefined;
  if (!type.startsWith('application/json')) return `a refusal as ${type}`;
  const { code, message, next, kind, value } = JSON.parse(body) as Record<string, string | undefined>;
  return (code && message && next) || (kind && value) ? undefined : `a refusal without words: ${body}`;
}

const asks = (times: number) => ({ numRuns: times * TIMES });

test('whatever is asked, with whatever token, the answer is one that is described, and never a failure of the server', async () => {
  await fc.assert(
    fc.asyncProperty(fc.tuple(anyRequest, fc.boolean()), async ([asked, withKey]) => {
      site.now = new Date(site.now.getTime() + 600_000);
      const headers = { ...asked.headers, ...(withKey ? keyTo(asked.operation) : {}) };
      const answer = await ask({ ...asked, headers });
      assert.equal(faultOf(asked, answer), undefined, `${asked.method} ${asked.path}: ${JSON.stringify(answer)}`);
    }),
    asks(1000),
  );
});

const calls = () => description.operations.filter(({ path }) => path.startsWith('/v1/'));

const NOT_UNDERSTOOD = [0, 400, 401, 405, 413, 414, 415];

test('what is asked as described is understood, and a body that is not is refused', async () => {
  const understood = new Set<Operation>();
  await fc.assert(
    fc.asyncProperty(anyCall, async (asked) => {
      const { operation, given, isAsDescribed } = asked;
      if ((!isAsDescribed && given === undefined) || (asked.body?.length ?? 0) > 4096) return;
      const { status, body } = await ask({ ...asked, headers: { ...asked.headers, ...keyTo(operation) } });
      const [content] = Object.values(operation.requestBody?.content ?? {});
      if (isAsDescribed || (content && description.isLike(content.schema, given))) {
        assert.ok(!NOT_UNDERSTOOD.includes(status), `${status} ${body}: ${asked.body}`);
        understood.add(operation);
      } else if (content) assert.ok(status >= 400 && status < 500, `${status} for ${asked.body}`);
    }),
    asks(1000),
  );
  assert.deepEqual(
    calls().filter((operation) => !understood.has(operation)),
    [],
  );
});

test('nobody is answered without the token that an operation asks for', async () => {
  await fc.assert(
    fc.asyncProperty(anyRequest, async (asked) => {
      const { authorization: _, cookie: __, ...headers } = asked.headers;
      const { status } = await ask({ ...asked, headers });
      const operation = description.operationAt(asked.method, asked.path);
      if (operation && operation.security.length > 0)
        assert.ok(status === 303 || status >= 400 || status === 0, `${status}`);
    }),
    asks(300),
  );
});

const REQUEST = `POST /v1/check-in HTTP/1.1\r\nhost: a\r\nauthorization: ${MACHINE.authorization}\r\ncontent-type: application/json\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{"schema":1}  `;
const SNIPPETS = [
  '\r\n',
  '\n',
  '\0',
  ' ',
  ':',
  'transfer-encoding: chunked\r\n',
  'content-length: 3\r\n',
  'ffffffffffffffff\r\n',
  '\u00ff',
  'HTTP/9.9',
];

/** Everything that is said until the server closes. */
const spoken = (bytes: Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(Number(new URL(site.url).port), '127.0.0.1', () => socket.end(bytes));
    socket.setTimeout(LONGEST_MS, () => socket.destroy(new Error('the server hangs')));
    socket.setEncoding('latin1').on('data', (text) => {
      said += text;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve(said) : reject(error)));
    socket.on('close', () => resolve(said));
  });

test('bytes that are nearly HTTP are refused in our words or the connection is closed, and the server lives', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(REQUEST.length),
      fc.nat(12),
      fc.oneof(fc.constantFrom(...SNIPPETS), fc.string({ maxLength: 6 })),
      async (place, removed, added) => {
        const bytes = Buffer.from(REQUEST.slice(0, place) + added + REQUEST.slice(place + removed), 'latin1');
        const said = await spoken(bytes);
        for (const [, status = ''] of said.matchAll(/^HTTP\/1\.1 (\d{3})/gm)) assert.ok(Number(status) < 500, said);
        const [, type = ''] = /^content-type: ([^;\r\n]+)/im.exec(said) ?? [];
        if (said !== '' && !/^HTTP\/1\.1 [12]/.test(said))
          assert.ok(type.startsWith('application/json') || / 4\d\d .*\r\nConnection: close\r\n/.test(said), said);
      },
    ),
    asks(250),
  );
  assert.equal((await fetch(`${site.url}/healthz`)).status, 200);
});

test('the fuzzer itself asks for what there is, and finds a fault that is there', async () => {
  const check = description.operations.find(({ path }) => path === '/v1/check-in');
  assert.ok(check);
  const bad = { status: 200, type: 'application/json', body: '{"schema":1,"go":"yes"}' };
  const asked = {
    operation: check,
    method: 'POST',
    path: '/v1/check-in',
    headers: {},
    body: undefined,
    isAsDescribed: true,
  };
  assert.match(faultOf(asked, bad) ?? '', /says/);
  assert.match(faultOf(asked, { ...bad, body: '{"schema":1,"go":true,"version":"9"}' }) ?? '', /says/);
  assert.match(faultOf(asked, { ...bad, status: 500 }) ?? '', /failure/);
  assert.match(faultOf(asked, { ...bad, status: 404, body: '{"code":"x","message":"y"}' }) ?? '', /says/);
  assert.equal(faultOf(asked, { ...bad, body: '{"schema":1,"go":true}' }), undefined);
  const known = await ask({ method: 'GET', path: `/v1/machines/${idOf(1)}`, headers: OPERATOR, body: undefined });
  assert.equal(known.status, 200);
});

test('a form with the token of its page is a deed, at random, too', async () => {
  const acts = description.operations.filter(
    ({ method, path }) => method === 'POST' && /^\/(rollouts|locks)/.test(path),
  );
  assert.ok(acts.length >= 3);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...acts),
      fc.string({ unit: 'binary' }),
      async ({ path, method, responses }, reason) => {
        const address = path.replace('{channel}', 'stable').replace('{group}', 'web').replace('{holder}', idOf(1));
        const body = Buffer.from(
          String(new URLSearchParams({ form: OPERATOR_SESSION.form, reason: reason.toWellFormed() })),
        );
        const type = { 'content-type': 'application/x-www-form-urlencoded' };
        const { status } = await ask({ method, path: address, headers: { ...SESSION, ...type }, body });
        assert.ok(status !== 403 && Object.hasOwn(responses, status), `${status} to ${path}`);
      },
    ),
    asks(60),
  );
});

test('while the store is away, or does what nobody expects, every address says so as described, and tells nothing of it', async () => {
  await using broken = await (await new TestFleet().fill(3)).start();
  await fetch(`${broken.url}/v1/machines`, { headers: OPERATOR });
  for (const [fault, expected] of [
    [new UpdateError('etcd-unavailable', 'unspeakable'), 503],
    [new Error('unspeakable'), 500],
  ] as const) {
    const fail = () => Promise.reject(fault);
    broken.now = new Date(broken.now.getTime() + 1000);
    Object.assign(broken.store, { read: fail, list: fail, count: fail, update: fail });
    const met = new Set<Operation>();
    for (const asked of fc.sample(anyRequest, { numRuns: 600, seed: 1 }).filter((one) => one.isAsDescribed)) {
      const answer = await ask({ ...asked, headers: { ...asked.headers, ...keyTo(asked.operation) } }, broken.url);
      assert.ok(answer.status < 500 || answer.status === expected, `${answer.status} ${asked.path}`);
      assert.equal(description.faultOf(asked.operation, answer), undefined, asked.path);
      if (asked.method !== 'HEAD') assert.equal(wordingFault(answer), undefined, asked.path);
      assert.doesNotMatch(answer.body, /unspeakable/);
      if (answer.status >= 500) met.add(asked.operation);
    }
    assert.ok(met.size > 15, `only ${met.size} addresses need the store`);
  }
});
