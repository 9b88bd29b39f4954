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
import { temporaryFolder } from '../support/bundles.ts';
import { makeTlsFiles, type TlsFiles } from '../support/tls-files.ts';

const CLIENT = `
  import { readFileSync } from 'node:fs';
  import { getCACertificates } from 'node:tls';
  import { createHttp } from '${join(import.meta.dirname, '../../src/system/http.ts')}';
  import { realClock } from '${join(import.meta.dirname, '../../src/system/clock.ts')}';
  const { url, proxy, ca } = JSON.parse(process.argv[1]);
  const http = createHttp({
    connectTimeoutMs: 5000, idleTimeoutMs: 5000, userAgent: 'test', clock: realClock,
    ...(proxy ? { proxy } : {}), ...(ca ? { ca: readFileSync(ca) } : {}),
  });
  const signal = new AbortController().signal;
  const said = await http.fetchBytes(url, { maxBytes: 100, signal }).then(String, (error) => error.code + ': ' + error.message);
  console.log(JSON.stringify({ said, trusted: getCACertificates('default').length, bundled: getCACertificates('bundled').length }));
`;

type Outcome = Readonly<{ said: string; trusted: number; bundled: number }>;
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

/** What a host of its own gets, whose system trusts `store`. */
async function hostTrusting(
  store: Store,
  request: Readonly<{ ca?: string; proxied?: boolean }> = {},
): Promise<Outcome> {
  const file = { ours: tls.ca, another: foreign.ca, empty: '/dev/null' }[store];
  const url = `https://127.0.0.1:${portOf(server)}/`;
  const through = request.proxied ? { proxy: `http://127.0.0.1:${portOf(proxy)}` } : {};
  const asked = JSON.stringify({ url, ...through, ...(request.ca ? { ca: request.ca } : {}) });
  const env = { PATH: process.env['PATH'], SSL_CERT_FILE: file, SSL_CERT_DIR: join(folder.path, 'none') };
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', CLIENT, asked], { env });
  return JSON.parse((await run).stdout);
}

for (const proxied of [false, true]) {
  const way = proxied ? ' through a proxy' : '';

  test(`what the system trusts is trusted${way}`, async () => {
    const { said, trusted } = await hostTrusting('ours', { proxied });
    assert.equal(said, 'proved');
    assert.equal(trusted, 1);
  });

  test(`what the system does not trust is refused, and nobody is told to start Node.js differently${way}`, async () => {
    const { said } = await hostTrusting('another', { proxied });
    assert.match(said, /^tls-untrusted: .*certificate.*the local clock shows/);
    assert.doesNotMatch(said, /Node|--use/);
  });

  test(`a configured CA file counts instead of the system’s${way}`, async () => {
    assert.equal((await hostTrusting('another', { ca: tls.ca, proxied })).said, 'proved');
    assert.match((await hostTrusting('ours', { ca: foreign.ca, proxied })).said, /^tls-untrusted/);
  });
}

test('a system without any certificates falls back to those of Node.js, and still refuses strangers', async () => {
  const { said, trusted, bundled } = await hostTrusting('empty');
  assert.match(said, /^tls-untrusted/);
  assert.equal(trusted, bundled);
});
