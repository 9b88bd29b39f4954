/** How connections are made where some addresses of a name lead nowhere, and how long they are kept. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UpdateError } from '../../../src/errors.ts';
import { dial, type Lookup } from '../../../src/system/http/dial.ts';
import { HostileServer, ok, serving } from '../../support/hostile-server.ts';
import { testHttp } from '../../support/http-client.ts';
import { SlowAddress } from '../../support/slow-address.ts';

const signal = new AbortController().signal;
const small = { maxBytes: 1000, signal };

const leadingTo =
  (...addresses: readonly string[]): Lookup =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

const fetched = async (port: number, lookup: Lookup, connectTimeoutMs = 10_000): Promise<string> => {
  const http = testHttp({ connectTimeoutMs, lookup });
  return Buffer.from(await http.fetchBytes(`http://repository.example:${port}/`, small)).toString();
};

for (const order of [
  ['far', 'gone'],
  ['gone', 'far'],
  ['gone', 'far', 'gone'],
])
  test(`an address that takes a second is reached beside one that is gone: ${order.join(', ')}`, async () => {
    await using far = await SlowAddress.start('127.0.0.2');
    await using gone = await SlowAddress.start('127.0.0.3', far.port);
    const addresses = order.map((one) => (one === 'far' ? far.address : gone.address));
    const text = fetched(far.port, leadingTo(...addresses));
    // Later than the first attempt of every address, so that only an attempt that nobody gave up gets through.
    setTimeout(() => far.wake(), 900);
    assert.equal(await text, far.address);
  });

test('addresses that refuse cost no time', async () => {
  await using server = await HostileServer.start(ok('here'));
  const began = performance.now();
  const closed = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6', '127.0.0.7'];
  assert.equal(await fetched(server.port, leadingTo(...closed, '127.0.0.1')), 'here');
  assert.ok(performance.now() - began < closed.length * 200);
});

test('families are tried by turns', async () => {
  await using server = await HostileServer.start(ok('here'));
  const six = Array.from({ length: 20 }, (_, index) => `100::${index + 1}`);
  assert.equal(await fetched(server.port, leadingTo(...six, '127.0.0.1')), 'here');
});

test('an address that has lost the race is left', async () => {
  await using fast = await HostileServer.start(ok('fast'));
  await using gone = await SlowAddress.start('127.0.0.3', fast.port);
  const lookup = leadingTo(gone.address, '127.0.0.1', gone.address);
  const socket = await dial('a-host', fast.port, { timeoutMs: 5000, lookup });
  assert.equal(socket.remoteAddress, '127.0.0.1');
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(!process.getActiveResourcesInfo().includes('TCPConnectWrap'));
  socket.destroy();
});

const failureOf = (attempt: Promise<unknown>): Promise<UpdateError> =>
  attempt.then(
    () => assert.fail('no failure'),
    (error: UpdateError) => error,
  );

test('when no address answers, each attempt is told', async () => {
  const server = await HostileServer.start(ok(''));
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const { code, message } = await failureOf(fetched(port, leadingTo('127.0.0.1', '127.0.0.2')));
  assert.equal(code, 'server-unreachable');
  assert.match(message, /ECONNREFUSED 127\.0\.0\.1:\d+; connect ECONNREFUSED 127\.0\.0\.2/);
});

test('a name without addresses, one that nobody knows, and silence each have their name', async () => {
  await using gone = await SlowAddress.start('127.0.0.2');
  const unknown: Lookup = () => Promise.reject(Object.assign(new Error('nobody'), { code: 'ENOTFOUND' }));
  const never: Lookup = () => new Promise(() => {});
  const codeWith = async (lookup: Lookup): Promise<string> => (await failureOf(fetched(gone.port, lookup, 300))).code;
  assert.equal(await codeWith(leadingTo()), 'server-unreachable');
  assert.equal(await codeWith(unknown), 'server-unreachable');
  assert.equal(await codeWith(never), 'server-timeout');
  assert.equal(await codeWith(leadingTo(gone.address)), 'server-timeout');
});

test('a server that says nothing to a TLS greeting is not waited for longer than for a connection', async () => {
  await using server = await HostileServer.start(() => {});
  const http = testHttp({ connectTimeoutMs: 200, idleTimeoutMs: 60_000 });
  const { code, message } = await failureOf(http.fetchBytes(`https://127.0.0.1:${server.port}/`, small));
  assert.equal(code, 'server-timeout');
  assert.match(message, /TLS/);
});

test('a connection serves all requests of a check, and is closed soon after the last one', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  await using server = await HostileServer.start(serving(Buffer.from('here')));
  const http = testHttp();
  for (let request = 1; request <= 3; request++) {
    await http.fetchBytes(server.url(), small);
    mock.timers.tick(4000);
    assert.equal(server.openSockets, 1);
  }
  mock.timers.tick(1000);
  await server.allClosed();
});

test('a connection that is taken again is not closed for having been idle before', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  await using server = await HostileServer.start((socket, request, round) => {
    if (round === 2) mock.timers.tick(6000);
    serving(Buffer.from('here'))(socket, request, round);
  });
  const http = testHttp();
  await http.fetchBytes(server.url(), small);
  mock.timers.tick(4000);
  await http.fetchBytes(server.url(), small);
  assert.equal(server.requests.length, 2);
});
