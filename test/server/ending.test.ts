/** A server that is told to end answers what it was asked, and nobody can keep it from ending. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { endServer } from '../../src/server/http/ending.ts';
import { TestFleet } from './pages/fleet.ts';

const SIZE = 30_000_000;
const never = new Promise(() => {});

/** A client in the middle of a large download. */
async function downloading(site: TestFleet): Promise<Socket> {
  site.file('targets/large.bundle', 'x'.repeat(SIZE));
  const socket = connect(Number(new URL(site.url).port), '127.0.0.1');
  socket.write('GET /targets/large.bundle HTTP/1.1\r\nhost: fleet\r\n\r\n');
  socket.on('error', () => {});
  await once(socket, 'readable');
  return socket;
}

test('whoever stalls is cut off when the grace is over, and the server ends', async () => {
  await using site = await new TestFleet().start();
  const socket = await downloading(site);
  const grace = Promise.withResolvers<void>();
  let hasEnded = false;
  const ending = endServer(site.app, { newcomers: never, everybody: grace.promise }).then(() => {
    hasEnded = true;
  });
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  assert.equal(hasEnded, false, 'it gives them time');
  grace.resolve();
  await ending;
  socket.destroy();
});

test('whoever reads on within the grace gets the whole file, and then the server ends at once', async () => {
  await using site = await new TestFleet().start();
  const socket = await downloading(site);
  let read = 0;
  socket.on('data', (bytes) => {
    read += bytes.length;
    if (read > SIZE) socket.end();
  });
  await endServer(site.app, { newcomers: never, everybody: never });
  assert.ok(read > SIZE);
});

test('a host on a connection that is there is answered as ever while the server ends', async () => {
  await using site = await new TestFleet().start();
  const stalled = await downloading(site);
  const host = connect(Number(new URL(site.url).port), '127.0.0.1');
  host.write('GET /healthz HTTP/1.1\r\nhost: fl');
  await once(host, 'connect');
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  const grace = Promise.withResolvers<void>();
  const ending = endServer(site.app, { newcomers: never, everybody: grace.promise });
  await new Promise(setImmediate);
  host.write('eet\r\n\r\n');
  const [answer] = await once(host, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 200 OK/);
  grace.resolve();
  await ending;
  stalled.destroy();
  host.destroy();
});

test('who has connected and not asked yet is answered, and cut off if he does not ask in time', async () => {
  await using site = await new TestFleet().start();
  const [asks, waits] = [0, 1].map(() => connect(Number(new URL(site.url).port), '127.0.0.1')) as [Socket, Socket];
  await Promise.all([once(asks, 'connect'), once(waits, 'connect')]);
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  const time = Promise.withResolvers<void>();
  const ending = endServer(site.app, { newcomers: time.promise, everybody: never });
  asks.write('GET /healthz HTTP/1.1\r\nhost: fleet\r\n\r\n');
  const [answer] = await once(asks, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 200 OK/);
  time.resolve();
  waits.resume();
  await once(waits, 'close');
  await ending;
});
