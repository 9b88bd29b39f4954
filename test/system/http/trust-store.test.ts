/** Which authorities prove a server: the system's, or instead of them those that are named. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer as createProxy, type Server as ProxyServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { UpdateError } from '../../../src/errors.ts';
import type { HttpOptions } from '../../../src/system/http/http.ts';
import { temporaryFolder } from '../../support/bundles.ts';
import { testHttp } from '../../support/http-client.ts';
import { makeTlsFiles, type TlsFiles } from '../../support/tls-files.ts';

const CLIENT = `
  import { readFileSync } from 'node:fs';
  import { getCACertificates } from 'node:tls';
  import { createHttp } from '${join(import.meta.dirname, '../../../src/system/http/http.ts')}';
  import { realClock } from '${join(import.meta.dirname, '../../../src/system/clock.ts')}';
  const signal = new AbortController().signal;
  const { url, requests } = JSON.parse(process.argv[1]);
  const said = [];
  for (const { proxy, ca } of requests) {
    const http = createHttp({
      connectTimeoutMs: 20_000, idleTimeoutMs: 20_000, userAgent: 'test', clock: realClock,
      ...(proxy ? { proxy } : {}), ...(ca ? { ca: readFileSync(ca) } : {}),
    });
    said.push(await http.fetchBytes(url, { maxBytes: 100, signal }).then(String, (error) => error.code + ': ' + error.message));
  }
  console.log(JSON.stringify({ said, trusted: getCACertificates('default').length, bundled: getCACertificates('bundled').length }));
`;

type Outcome = Readonly<{ said: readonly string[]; trusted: number; bundled: number }>;
type Store = 'ours' | 'another' | 'empty';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let other: Awaited<ReturnType<typeof temporaryFolder>>;
let tls: TlsFiles;
let foreign: TlsFiles;
let server: Server;
let proxy: ProxyServer;

before(async () => {
  folder = await temporaryFolder();
  other = await temporaryFolder();
  tls = makeTlsFiles(folder.path, 'client');
  foreign = makeTlsFiles(other.path, 'client');
  const identity = { key: readFileSync(tls.serverKey), cert: readFileSync(tls.serverCert) };
  server = createServer(identity, (_, answer) => answer.end('proved'));
  proxy = createProxy().on('connect', (request, socket) => {
    const [host = '', port] = (request.url ?? '').split(':');
    const onward = connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await Promise.all([server, proxy].map((one) => new Promise<void>((done) => one.listen(0, '127.0.0.1', done))));
});

after(async () => {
  for (const one of [server, proxy]) one.close().closeAllConnections();
  await folder[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

const portOf = (one: Server | ProxyServer): number => (one.address() as AddressInfo).port;

type Request = Readonly<{ proxied?: boolean; ca?: string }>;

/** What a host of its own gets, whose system trusts `store`. */
async function hostTrusting(store: Store, requests: readonly Request[]): Promise<Outcome> {
  const file = { ours: tls.ca, another: foreign.ca, empty: '/dev/null' }[store];
  const proxyUrl = `http://127.0.0.1:${portOf(proxy)}`;
  const asked = {
    url: `https://127.0.0.1:${portOf(server)}/`,
    requests: requests.map(({ proxied, ca }) => ({ ...(proxied ? { proxy: proxyUrl } : {}), ...(ca ? { ca } : {}) })),
  };
  const env = { PATH: process.env['PATH'], SSL_CERT_FILE: file, SSL_CERT_DIR: join(folder.path, 'none') };
  const args = ['--input-type=module', '-e', CLIENT, JSON.stringify(asked)];
  return JSON.parse((await promisify(execFile)(process.execPath, args, { env })).stdout);
}

const BOTH_WAYS = [{ proxied: false }, { proxied: true }] as const;

test('what the system trusts is trusted, also through a proxy', async () => {
  const { said, trusted } = await hostTrusting('ours', BOTH_WAYS);
  assert.deepEqual(said, ['proved', 'proved']);
  assert.equal(trusted, 1);
});

test('what the system does not trust is refused, and nobody is told to start Node.js differently', async () => {
  for (const said of (await hostTrusting('another', BOTH_WAYS)).said) {
    assert.match(said, /^tls-untrusted: .*certificate.*the local clock shows/);
    assert.doesNotMatch(said, /Node|--use/);
  }
});

test('a configured CA file counts instead of the system’s, also through a proxy', async () => {
  const named = (ca: string): readonly Request[] => BOTH_WAYS.map((way) => ({ ...way, ca }));
  assert.deepEqual((await hostTrusting('another', named(tls.ca))).said, ['proved', 'proved']);
  for (const said of (await hostTrusting('ours', named(foreign.ca))).said) assert.match(said, /^tls-untrusted/);
});

test('a system without any certificates falls back to those of Node.js, and still refuses strangers', async () => {
  const { said, trusted, bundled } = await hostTrusting('empty', [{}]);
  assert.match(said[0] ?? '', /^tls-untrusted/);
  assert.equal(trusted, bundled);
});

const connectionsOf = (one: Server): Promise<number> =>
  new Promise((resolve, reject) => one.getConnections((error, count) => (error ? reject(error) : resolve(count))));

const failureWith = (change: Partial<HttpOptions>): Promise<UpdateError> =>
  testHttp(change)
    .fetchBytes(`https://127.0.0.1:${portOf(server)}/`, { maxBytes: 100, signal: new AbortController().signal })
    .then(
      () => assert.fail('it is content'),
      (error: UpdateError) => error,
    );

test('a file that names nobody to trust is called that, and no server is blamed', async () => {
  const whole = readFileSync(tls.ca);
  for (const ca of [Buffer.alloc(0), Buffer.from('noise'), whole.subarray(0, 200), readFileSync(tls.clientKey)]) {
    const { code, message } = await failureWith({ ca });
    assert.equal(code, 'tls-invalid');
    assert.doesNotMatch(message, /127\.0\.0\.1/);
  }
});

test('a certificate of our own that cannot be used is not the server’s fault', async () => {
  const [certificate, key] = [readFileSync(tls.clientCert), readFileSync(tls.clientKey)];
  const noise = Buffer.from('noise');
  for (const identity of [
    { certificate: noise, key },
    { certificate, key: noise },
    { certificate, key: readFileSync(tls.serverKey) },
  ])
    assert.equal((await failureWith({ ca: readFileSync(tls.ca), identity })).code, 'tls-invalid');
  // Nothing is left open that the server would wait for.
  while ((await connectionsOf(server)) > 0) await new Promise((resolve) => setImmediate(resolve));
});
