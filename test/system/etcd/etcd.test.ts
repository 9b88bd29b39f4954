/** The client of etcd against servers that a real etcd would never be. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEtcd, type Etcd } from '../../../src/system/etcd/etcd.ts';
import { noSignal } from '../../support/bundles.ts';
import { refusalOf } from '../../support/command-line.ts';
import { answer, HostileServer, ok, type Script } from '../../support/hostile-server.ts';
import { testHttp } from '../../support/http-client.ts';

const etcdAt = (...endpoints: string[]): Etcd =>
  createEtcd({ http: testHttp(), endpoints, timeoutMs: 500, start: 0, signal: noSignal });
const read = (etcd: Etcd): Promise<unknown> => etcd.txn({ ops: [{ range: 'k' }] });
const refusal = (status: string, body: string): Script =>
  answer(status, { 'content-length': Buffer.byteLength(body) }, body);
const error = (code: number, text: string): string => JSON.stringify({ error: text, message: text, code });

const answers: Readonly<Record<string, readonly [Script, string]>> = {
  'something that is not JSON, as of a captive portal': [ok('<html>'), 'etcd-unavailable'],
  'JSON of another shape': [ok('[]'), 'etcd-protocol'],
  'a key without a revision': [ok('{"responses":[{"response_range":{"kvs":[{"key":"aw=="}]}}]}'), 'etcd-protocol'],
  'numbers that are no text': [
    ok('{"responses":[{"response_range":{"kvs":[{"key":"aw==","mod_revision":5}]}}]}'),
    'etcd-protocol',
  ],
  'more than anybody asked for': [answer('200 OK', { 'content-length': 1e9 }), 'etcd-unavailable'],
  'a redirect': [
    answer('307 Temporary Redirect', { location: 'http://127.0.0.1:1/', 'content-length': 0 }),
    'etcd-unavailable',
  ],
  'an error page of a proxy': [refusal('502 Bad Gateway', 'no'), 'etcd-unavailable'],
  'no leader': [refusal('503 Service Unavailable', error(14, 'etcdserver: no leader')), 'etcd-unavailable'],
  'no space': [refusal('429 Too Many Requests', error(8, 'etcdserver: mvcc: database space exceeded')), 'etcd-full'],
  'no permission': [refusal('403 Forbidden', error(7, 'etcdserver: permission denied')), 'etcd-denied'],
  'a login that is needed': [refusal('400 Bad Request', error(3, 'etcdserver: user name is empty')), 'etcd-denied'],
  'a request that is too large': [
    refusal('400 Bad Request', error(3, 'etcdserver: request is too large')),
    'etcd-refused',
  ],
  'nothing at all': [() => {}, 'etcd-unavailable'],
};

for (const [what, [script, code]] of Object.entries(answers))
  test(`${what}: ${code}`, async () => {
    await using server = await HostileServer.start(script);
    assert.equal(await refusalOf(read(etcdAt(server.url('')))), code);
  });

test('what one member lacks another may have; what etcd as a whole refuses is not asked again elsewhere', async () => {
  await using good = await HostileServer.start(ok('{}'));
  await using cut = await HostileServer.start(refusal('503 Service Unavailable', error(14, 'etcdserver: no leader')));
  await using denied = await HostileServer.start(refusal('403 Forbidden', error(7, 'etcdserver: permission denied')));
  await read(etcdAt(cut.url(''), good.url('')));
  assert.equal(good.requests.length, 1);
  assert.equal(await refusalOf(read(etcdAt(denied.url(''), good.url('')))), 'etcd-denied');
  assert.equal(good.requests.length, 1);
});

test('the endpoint that answered last is asked first', async () => {
  await using good = await HostileServer.start(answer('200 OK', { 'content-length': 2 }, '{}', false));
  await using cut = await HostileServer.start(refusal('503 Service Unavailable', error(14, 'etcdserver: no leader')));
  const etcd = etcdAt(cut.url(''), good.url(''));
  for (let round = 0; round < 3; round++) await read(etcd);
  assert.deepEqual([cut.requests.length, good.requests.length], [1, 3]);
});

test('a lease that is gone is told from one that lives, and may be revoked', async () => {
  await using lives = await HostileServer.start(ok('{"result":{"ID":"5","TTL":"60"}}'));
  await using gone = await HostileServer.start(ok('{"result":{"ID":"5"}}'));
  await using unknown = await HostileServer.start(
    refusal('404 Not Found', error(5, 'etcdserver: requested lease not found')),
  );
  assert.equal(await etcdAt(lives.url('')).keepAlive('5'), true);
  assert.equal(await etcdAt(gone.url('')).keepAlive('5'), false);
  await etcdAt(unknown.url('')).revokeLease('5');
});

const CREATED = '{"result":{"header":{"revision":"7"},"created":true}}\n';
const watch = (etcd: Etcd, signal = noSignal): Promise<unknown> => etcd.watch('k/', '6', signal);
/** Written in pieces, as a stream comes. */
const streaming =
  (...pieces: readonly string[]): Script =>
  (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n');
    for (const piece of pieces) socket.write(piece);
    socket.end();
  };

const watches: Readonly<Record<string, readonly [Script, string]>> = {
  'nothing but its beginning': [streaming(CREATED), 'etcd-unavailable'],
  'something that is not JSON': [streaming('<html>\n'), 'etcd-protocol'],
  'JSON of another shape': [streaming('[]\n'), 'etcd-protocol'],
  'an end, because the host may not look': [
    streaming(CREATED, '{"result":{"canceled":true,"cancel_reason":"etcdserver: permission denied"}}\n'),
    'etcd-refused',
  ],
  'an error in the stream': [
    streaming('{"error":{"grpc_code":14,"message":"etcdserver: no leader"}}\n'),
    'etcd-refused',
  ],
  'a line without end': [
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.write(Buffer.alloc(9 * 1024 * 1024, 'x'));
    },
    'server-too-much',
  ],
};

for (const [what, [script, code]] of Object.entries(watches))
  test(`a watch that brings ${what}: ${code}`, async () => {
    await using server = await HostileServer.start(script);
    assert.equal(await refusalOf(watch(etcdAt(server.url('')))), code);
    await server.allClosed();
  });

test('a watch tells of a change, in however many pieces it comes, and of a compaction; then it is closed', async () => {
  await using changes = await HostileServer.start(
    streaming(CREATED.slice(0, 20), `${CREATED.slice(20)}{"result":{"eve`, 'nts":[{"kv":{"key":"aw=="}}]}}\n'),
  );
  await using compacted = await HostileServer.start(
    streaming(`${CREATED}{"result":{"canceled":true,"compact_revision":"50"}}\n`),
  );
  assert.equal(await watch(etcdAt(changes.url(''))), 'changed');
  assert.equal(await watch(etcdAt(compacted.url(''))), 'compacted');
  await changes.allClosed();
});

test('a watch asks for what comes after what was read, of a member that has a leader, and ends when it is told to', async () => {
  const ending = new AbortController();
  await using server = await HostileServer.start((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\n\r\n${CREATED}`, () => ending.abort(new Error('enough')));
  });
  await assert.rejects(watch(etcdAt(server.url('')), ending.signal), /enough/);
  await server.allClosed();
  assert.match(server.requests[0] ?? '', /^POST \/v3\/watch HTTP.*grpc-metadata-hasleader: true/is);
});
