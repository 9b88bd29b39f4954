import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { UpdateError } from '../../../src/errors.ts';
import { type Clock, realClock } from '../../../src/system/clock.ts';
import { retryAfterMs } from '../../../src/system/http/answer.ts';
import { createHttp, type HttpOptions } from '../../../src/system/http/http.ts';
import { redactUrl } from '../../../src/system/http/shown-address.ts';
import { httpSource } from '../../../src/system/http/source.ts';
import { answer, HostileServer, ok, rangeOf, type Script } from '../../support/hostile-server.ts';

const signal = new AbortController().signal;
const client = (change: Partial<HttpOptions> = {}) =>
  createHttp({ connectTimeoutMs: 2000, idleTimeoutMs: 150, userAgent: 'tandem-test', clock: realClock, ...change });

const small = (url: string, change: Partial<HttpOptions> = {}, maxBytes = 1000) =>
  client(change).fetchBytes(url, { maxBytes, signal });

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += Buffer.from(piece).toString('latin1');
  return text;
}

const part = (url: string, offset: number, end: number, expectedTotal: number, change: Partial<HttpOptions> = {}) =>
  whole(client(change).openBytes(url, { offset, end, expectedTotal, signal }));

async function refusal(attempt: Promise<unknown>): Promise<UpdateError> {
  try {
    await attempt;
  } catch (error) {
    return error as UpdateError;
  }
  return assert.fail('nothing was refused');
}

const dripping =
  (prefix: string, text: string, everyMs: number): Script =>
  (socket) => {
    socket.write(prefix);
    let at = 0;
    const timer = setInterval(() => {
      if (socket.destroyed) return clearInterval(timer);
      socket.write(text[at++ % text.length] ?? '');
    }, everyMs);
  };

const endless =
  (prefix: string): Script =>
  (socket) => {
    socket.write(prefix);
    const piece = Buffer.alloc(65_536, 97);
    const more = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on('drain', more);
    more();
  };

test('a small document comes whole, asked for as it is', async () => {
  await using server = await HostileServer.start(ok('hello'));
  assert.equal(Buffer.from(await small(server.url())).toString(), 'hello');
  assert.match(server.requests[0] ?? '', /accept-encoding: identity/i);
  assert.match(server.requests[0] ?? '', /user-agent: tandem-test/i);
});

/** Rows of the fault table: what the server does to a small document, and the name that it gets. */
const rows: readonly (readonly [string, Script, string])[] = [
  ['N4: 401', answer('401 Unauthorized', {}), 'server-denied'],
  ['N4: 403', answer('403 Forbidden', {}), 'server-denied'],
  ['404', answer('404 Not Found', {}), 'not-found-on-server'],
  ['N6: 410', answer('410 Gone', {}), 'not-found-on-server'],
  ['N6: 500', answer('500 Oops', {}), 'server-failed'],
  ['N10: an endless body', endless('HTTP/1.1 200 OK\r\n\r\n'), 'server-too-much'],
  ['N10: a huge announced body', answer('200 OK', { 'Content-Length': 1e12 }, '', false), 'server-too-much'],
  ['N11: a body that drips', dripping('HTTP/1.1 200 OK\r\n\r\n', 'x', 20), 'server-slow'],
  ['N11: a body that stalls', answer('200 OK', { 'Content-Length': 10 }, 'abc', false), 'server-timeout'],
  ['N12: a head that drips', dripping('HTTP/1.1 200 OK\r\n', 'X: y\r\n', 20), 'server-timeout'],
  ['N12: no answer at all', () => {}, 'server-timeout'],
  ['N13: 100 KiB of headers', answer('200 OK', { 'X-Long': 'x'.repeat(100_000) }), 'server-protocol'],
  [
    'N14: a gzip bomb',
    answer('200 OK', { 'Content-Encoding': 'gzip' }, gzipSync(Buffer.alloc(1e6)).toString('latin1')),
    'server-encoding',
  ],
  ['N18: a server that closes at once', (socket) => socket.destroy(), 'connection-lost'],
  ['N18: a server that speaks SSH', (socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n'), 'server-protocol'],
  ['N19: a body shorter than announced', answer('200 OK', { 'Content-Length': 10 }, 'abc'), 'connection-lost'],
  ['N29: two lengths', answer('200 OK', { 'Content-Length': 3, 'content-length': 4 }, 'abc'), 'server-protocol'],
  [
    'N29: a length and chunks',
    answer('200 OK', { 'Content-Length': 3, 'Transfer-Encoding': 'chunked' }, '3\r\nabc\r\n0\r\n\r\n'),
    'server-protocol',
  ],
  [
    'a part that nobody asked for',
    answer('206 Partial Content', { 'Content-Range': 'bytes 0-2/3' }, 'abc'),
    'server-protocol',
  ],
  ['N30: a proxy that wants a login', answer('407 Proxy Authentication Required', {}), 'proxy-auth'],
  ['an answer that makes no sense', answer('418 Teapot', {}), 'server-protocol'],
];
for (const [what, script, code] of rows)
  test(`${what}: ${code}, and the socket is closed`, async () => {
    await using server = await HostileServer.start(script);
    // Only who waits for a timeout should have to.
    const patience = code === 'server-timeout' ? { connectTimeoutMs: 100 } : {};
    const limits = { ...patience, minimumRate: { bytesPerSecond: 1000, windowMs: 300 } };
    const error = await refusal(small(server.url(), limits));
    assert.equal(error.code, code, error.message);
    await server.allClosed();
  });

test('N1: nobody listens: server-unreachable', async () => {
  assert.equal((await refusal(small('http://127.0.0.1:9/x'))).code, 'server-unreachable');
  assert.equal((await refusal(small('http://no-such-host.invalid/x'))).code, 'server-unreachable');
});

test('N7: 429 and 503 say how long to wait, within bounds', async () => {
  for (const [given, wanted] of [
    ['7', 7000],
    ['0', 1000],
    ['999999', 3_600_000],
  ] as const) {
    await using server = await HostileServer.start(answer('503 Busy', { 'Retry-After': given }));
    const error = await refusal(small(server.url()));
    assert.equal(error.code, 'server-busy');
    assert.equal(error.details['retryAfterMs'], wanted);
  }
  await using server = await HostileServer.start(answer('429 Slow', {}));
  assert.equal((await refusal(small(server.url()))).details['retryAfterMs'], undefined);
  const now = new Date('2030-01-01T00:00:00Z');
  assert.equal(retryAfterMs('Tue, 01 Jan 2030 00:01:00 GMT', now), 60_000);
  assert.equal(retryAfterMs('soon', now), undefined);
});

test('N28: a redirect is refused and not followed', async () => {
  await using other = await HostileServer.start(ok('secret'));
  for (const location of [other.url(), 'file:///etc/passwd', 'data:text/plain,x', '/elsewhere', ':', '\u0080']) {
    await using server = await HostileServer.start(answer('302 Found', { Location: location }));
    assert.equal((await refusal(small(server.url()))).code, 'server-redirects');
    assert.equal(server.requests.length, 1);
  }
  assert.equal(other.requests.length, 0);
});

test('where a redirect leads is told, without what may be secret in it', async () => {
  const told = async (location: string): Promise<string> => {
    await using server = await HostileServer.start(answer('301 Moved', { Location: location }));
    return (await refusal(small(server.url()))).message.replaceAll(`:${server.port}`, '');
  };
  assert.match(
    await told('https://u:p@new.example/file?signature=s#x'),
    / a redirect to https:\/\/new\.example\/file\.$/,
  );
  assert.match(await told('/elsewhere'), / a redirect to http:\/\/127\.0\.0\.1\/elsewhere\.$/);
  assert.doesNotMatch(await told('http://x/\u009b31m'), /\p{Cc}/u);
});

test('N20: bytes after the announced body are not part of it', async () => {
  await using server = await HostileServer.start(answer('200 OK', { 'Content-Length': 3 }, 'abcdefgh'));
  const result = await small(server.url()).catch((error: UpdateError) => error.code);
  assert.ok(result === 'server-protocol' || Buffer.from(result as Uint8Array).toString() === 'abc');
});

test('messages hold neither user, password nor query', async () => {
  await using server = await HostileServer.start(answer('500 Oops', {}));
  const url = server.url('/f?token=sesame').replace('http://', 'http://user:pass@');
  const error = await refusal(small(url));
  assert.doesNotMatch(`${error.message}${JSON.stringify(error.details)}`, /user|pass|sesame|token/);
  assert.equal(redactUrl('https://u:p@example.org/a/b?c=d#e'), 'https://example.org/a/b');
});

test('an address that is not http is refused', async () => {
  for (const url of ['file:///etc/passwd', 'ftp://example.org/x', 'nonsense'])
    assert.equal((await refusal(small(url))).code, 'url-invalid');
});

test('giving up ends the exchange with the reason that was given', async () => {
  await using server = await HostileServer.start(() => {});
  const stop = new AbortController();
  const pending = client().fetchBytes(server.url(), { maxBytes: 10, signal: stop.signal });
  stop.abort(new Error('no more'));
  assert.equal((await refusal(pending)).message, 'no more');
  await server.allClosed();
});

const text = 'abcdefghijklmnopqrstuvwxyz';

const partial =
  (change: (range: string) => string = (range) => range): Script =>
  (socket, request, round) => {
    const [start, end] = rangeOf(request, text.length);
    const headers = {
      'Content-Range': change(`bytes ${start}-${end - 1}/${text.length}`),
      'Content-Length': end - start,
    };
    answer('206 Partial Content', headers, text.slice(start, end))(socket, request, round);
  };

test('a range comes as it was asked for', async () => {
  await using server = await HostileServer.start(partial());
  assert.equal(await part(server.url(), 5, 9, 26), 'fghi');
  assert.match(server.requests[0] ?? '', /range: bytes=5-8\r/i);
});

test('the whole file is asked for without a range', async () => {
  await using server = await HostileServer.start(ok(text));
  assert.equal(await part(server.url(), 0, 26, 26), text);
  assert.doesNotMatch(server.requests[0] ?? '', /^range:/im);
});

test('N22: the whole file instead of its end is skipped up to the offset, or refused when that is too much', async () => {
  await using server = await HostileServer.start(ok(text));
  assert.equal(await part(server.url(), 20, 26, 26), 'uvwxyz');
  assert.equal(await part(server.url(), 20, 23, 26), 'uvw');
  assert.equal((await refusal(part(server.url(), 20, 26, 26, { maxSkipBytes: 10 }))).code, 'server-no-ranges');
});

test('a server need not say how long the whole file is, nor write its unit in small letters', async () => {
  for (const range of ['bytes 5-8/*', 'Bytes 5-8/26']) {
    await using server = await HostileServer.start(partial(() => range));
    assert.equal(await part(server.url(), 5, 9, 26), 'fghi', range);
  }
});

const lies: readonly (readonly [string, Script, string])[] = [
  ['N23: another start', partial(() => 'bytes 4-8/26'), 'server-protocol'],
  ['N23: another end', partial(() => 'bytes 5-9/26'), 'server-protocol'],
  ['N23: another total', partial(() => 'bytes 5-8/27'), 'server-file-changed'],
  ['N23: another range of a file of unknown length', partial(() => 'bytes 4-7/*'), 'server-protocol'],
  ['N23: no Content-Range', answer('206 Partial Content', { 'Content-Length': 4 }, 'fghi'), 'server-protocol'],
  [
    'N24: several parts',
    answer('206 Partial Content', { 'Content-Type': 'multipart/byteranges; boundary=x' }, '--x--'),
    'server-encoding',
  ],
  ['N25: 416', answer('416 Range Not Satisfiable', { 'Content-Range': 'bytes */3' }), 'server-file-changed'],
  ['N26: a shorter file', answer('200 OK', { 'Content-Length': 25 }, text.slice(1)), 'server-file-changed'],
  ['N21: no length and cut early', answer('200 OK', {}, text.slice(0, 7)), 'connection-lost'],
  [
    'a longer body than the range',
    answer('206 Partial Content', { 'Content-Range': 'bytes 5-8/26' }, 'fghijk'),
    'server-too-much',
  ],
  [
    'a compressed answer',
    answer('200 OK', { 'Content-Encoding': 'zstd', 'Content-Length': 26 }, text),
    'server-encoding',
  ],
];
for (const [what, script, code] of lies)
  test(`${what}: ${code}`, async () => {
    await using server = await HostileServer.start(script);
    const error = await refusal(part(server.url(), 5, 9, 26));
    assert.equal(error.code, code, error.message);
    await server.allClosed();
  });

test('a file longer than its signed size is refused', async () => {
  await using server = await HostileServer.start(answer('200 OK', {}, `${text}!`));
  assert.equal((await refusal(part(server.url(), 0, 26, 26))).code, 'server-too-much');
});

test('N15: a large file that keeps a minimum rate is not cut off, one that drips is', async () => {
  const rate = { bytesPerSecond: 1000, windowMs: 200 };
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n';
  await using slow = await HostileServer.start(dripping(head, 'x', 20));
  assert.equal((await refusal(part(slow.url(), 0, 60, 60, { minimumRate: rate }))).code, 'server-slow');
  await using enough = await HostileServer.start(dripping(head, 'x', 2));
  // A rate that even a busy machine keeps.
  const limits = { minimumRate: { bytesPerSecond: 1, windowMs: 30 }, idleTimeoutMs: 5000 };
  assert.equal((await part(enough.url(), 0, 60, 60, limits)).length, 60);
});

test('time that the reader takes for itself is not held against the server', async () => {
  await using server = await HostileServer.start(ok('x'.repeat(500_000)));
  let size = 0;
  for await (const piece of client().openBytes(server.url(), { offset: 0, expectedTotal: 500_000, signal })) {
    if (size === 0) await realClock.sleep(300);
    size += piece.length;
  }
  assert.equal(size, 500_000);
});

/** A clock that waits for nothing and remembers for how long. */
const patientClock = (): Clock & { slept: number[] } => {
  const slept: number[] = [];
  return { ...realClock, slept, sleep: async (ms) => void slept.push(ms) };
};
const random = { fraction: () => 0.5, bytes: () => new Uint8Array() };

test('N16: a broken download goes on from the byte where it stopped', async () => {
  const body = Array.from({ length: 300_000 }, (_, index) => String.fromCharCode(97 + (index % 26))).join('');
  await using server = await HostileServer.start((socket, request) => {
    const [start, end] = rangeOf(request, body.length);
    const headers = [`HTTP/1.1 ${start > 0 ? '206 Partial Content' : '200 OK'}`, `Content-Length: ${end - start}`];
    if (start > 0) headers.push(`Content-Range: bytes ${start}-${end - 1}/${body.length}`);
    socket.write(`${headers.join('\r\n')}\r\n\r\n`);
    socket.write(body.slice(start, Math.min(end, start + 70_000)), () => socket.resetAndDestroy());
  });
  const clock = patientClock();
  const source = httpSource(client(), server.url(), body.length, { clock, random, attempts: 2 });
  assert.equal(await whole(source.open(0, signal)), body);
  assert.ok(server.requests.length >= 5);
  assert.ok(clock.slept.length >= 4);
});

test('a server that gives one byte a connection is given up', async () => {
  await using server = await HostileServer.start((socket, request) => {
    const [start, end] = rangeOf(request, 26);
    const headers = { 'Content-Length': end - start, 'Content-Range': `bytes ${start}-${end - 1}/26` };
    answer(start > 0 ? '206 Partial Content' : '200 OK', headers, text.slice(start, start + 1))(socket, request, 1);
  });
  const clock = patientClock();
  const source = httpSource(client(), server.url(), 26, {
    clock,
    random,
    attempts: 4,
    baseDelayMs: 100,
    maxDelayMs: 300,
  });
  assert.equal((await refusal(whole(source.open(0, signal)))).code, 'connection-lost');
  assert.deepEqual(clock.slept, [100, 150, 150]);
});

test('what cannot get better is not tried again', async () => {
  await using server = await HostileServer.start(answer('404 Not Found', {}));
  const source = httpSource(client(), server.url(), 26, { clock: patientClock(), random });
  assert.equal((await refusal(whole(source.open(0, signal)))).code, 'not-found-on-server');
  assert.equal(server.requests.length, 1);
});

test('a wait that the server asks for is kept when it is short and left to the schedule when it is long', async () => {
  for (const [seconds, requests] of [
    ['2', 3],
    ['120', 1],
  ] as const) {
    await using server = await HostileServer.start(answer('503 Busy', { 'Retry-After': seconds }));
    const clock = patientClock();
    const source = httpSource(client(), server.url(), 26, { clock, random, attempts: 3 });
    assert.equal((await refusal(whole(source.open(0, signal)))).code, 'server-busy');
    assert.equal(server.requests.length, requests);
    assert.ok(clock.slept.every((ms) => ms >= 2000));
  }
});

test('requests go through the proxy that the configuration names, and 407 is named', async () => {
  await using proxy = await HostileServer.start(ok('from the proxy'));
  const patient = { connectTimeoutMs: 5000, idleTimeoutMs: 5000 };
  const through = { ...patient, proxy: `http://user:pass@127.0.0.1:${proxy.port}` };
  assert.equal(Buffer.from(await small('http://example.invalid/x', through)).toString(), 'from the proxy');
  assert.match(proxy.requests[0] ?? '', /^GET http:\/\/example\.invalid\/x HTTP/);
  assert.match(proxy.requests[0] ?? '', /^proxy-authorization: Basic dXNlcjpwYXNz/im);
  await using closed = await HostileServer.start(answer('407 Proxy Authentication Required', {}));
  const error = await refusal(
    small('https://example.invalid/x', { ...patient, proxy: `http://user:pass@127.0.0.1:${closed.port}` }),
  );
  assert.equal(error.code, 'proxy-auth', error.message);
  assert.doesNotMatch(error.message, /pass/);
});

test('nothing is read from the environment', async () => {
  await using proxy = await HostileServer.start(ok('from the proxy'));
  await using server = await HostileServer.start(ok('from the server'));
  process.env['http_proxy'] = proxy.url('');
  try {
    assert.equal(Buffer.from(await small(server.url())).toString(), 'from the server');
  } finally {
    delete process.env['http_proxy'];
  }
});

test('N2: a certificate is believed only from the configured CA, for the right name and time', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-tls-'));
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const make = (name: string, subject: string, days: number): void => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
    openssl('req', ...key, '-out', `${name}.csr`, '-subj', '/CN=test', '-addext', `subjectAltName=${subject}`);
    const files = ['-in', `${name}.csr`, '-signkey', `${name}.key`, '-out', `${name}.pem`];
    openssl('x509', '-req', ...files, '-days', String(days), '-copy_extensions', 'copy');
  };
  make('good', 'IP:127.0.0.1', 2);
  make('other', 'DNS:example.org', 2);
  make('old', 'IP:127.0.0.1', -1);
  const file = (name: string) => readFileSync(join(dir, name));
  const serving = async (name: string, ca: Uint8Array | undefined) => {
    const server = createServer({ key: file(`${name}.key`), cert: file(`${name}.pem`) }, (_, response) =>
      response.end('safe'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const result = await small(`https://127.0.0.1:${port}/x`, { connectTimeoutMs: 2000, ...(ca ? { ca } : {}) }, 1000)
      .then((bytes) => Buffer.from(bytes).toString())
      .catch((error: UpdateError) => `${error.code}: ${error.message}`);
    server.close();
    server.closeAllConnections();
    return result;
  };
  try {
    assert.equal(await serving('good', file('good.pem')), 'safe');
    assert.match(await serving('good', undefined), /^tls-untrusted: .*self-signed.*local clock shows 20/);
    assert.match(await serving('good', file('other.pem')), /^tls-untrusted/);
    assert.match(await serving('other', file('other.pem')), /^tls-untrusted/);
    assert.match(await serving('old', file('old.pem')), /^tls-untrusted: .*expired/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
