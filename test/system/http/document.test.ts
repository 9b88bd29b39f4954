/** Small documents: past caches, over bad lines, with an end to patience. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UpdateError } from '../../../src/errors.ts';
import { realClock } from '../../../src/system/clock.ts';
import { answer, breaking, HostileServer, ok, partsOf, type Script } from '../../support/hostile-server.ts';
import { testHttp } from '../../support/http-client.ts';

const signal = new AbortController().signal;
const document = Buffer.from(Array.from({ length: 1000 }, (_, index) => 32 + (index % 90)));

const failureOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'nothing',
    (error: UpdateError) => error.code,
  );

const fetched = (server: HostileServer, maxBytes = document.length) =>
  testHttp().fetchBytes(server.url(), { maxBytes, signal });

/** The rest of the document from where it is asked for, of which only `length` bytes come before the connection breaks. */
const breakingRest =
  (length: number): Script =>
  (socket, request, round) => {
    const start = Number(/^range: bytes=(\d+)-\r$/im.exec(request)?.[1] ?? 0);
    const rest = document.subarray(start);
    const range = start > 0 ? `Content-Range: bytes ${start}-999/1000\r\n` : '';
    socket.write(`HTTP/1.1 ${start > 0 ? 206 : 200} X\r\n${range}Content-Length: ${rest.length}\r\n\r\n`);
    if (rest.length > length) socket.write(rest.subarray(0, length), () => socket.resetAndDestroy());
    else socket.write(rest);
    assert.ok(round < 20);
  };

test('caches on the way are asked to look again', async () => {
  await using server = await HostileServer.start(ok('news'));
  await fetched(server);
  assert.match(server.requests[0] ?? '', /^cache-control: no-cache\r$/im);
});

test('a document goes on from the byte at which its connection broke', async () => {
  await using server = await HostileServer.start(breakingRest(300));
  assert.ok(document.equals(await fetched(server)));
  const asked = server.requests.map((request) => /^range: (.*)\r$/im.exec(request)?.[1]);
  assert.deepEqual(asked, [undefined, 'bytes=300-', 'bytes=600-', 'bytes=900-']);
});

test('a server that cannot go on sends the whole document again', async () => {
  await using server = await HostileServer.start((socket, request, round) => {
    if (round > 1) return ok(document.toString())(socket, request, round);
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
    socket.write(document.subarray(0, 400), () => socket.resetAndDestroy());
  });
  assert.ok(document.equals(await fetched(server)));
  assert.equal(server.requests.length, 2);
});

test('what came of a document that has another length by now is not put together with it', async () => {
  await using server = await HostileServer.start((socket, request, round) => {
    if (round === 1) return breakingRest(300)(socket, request, round);
    return answer('206 X', { 'Content-Range': 'bytes 300-1999/2000', 'Content-Length': 1700 }, 'x'.repeat(1700))(
      socket,
      request,
      round,
    );
  });
  assert.equal(await failureOf(fetched(server, 5000)), 'server-file-changed');
});

test('a server that gives a byte a connection is given up, and so is one that gives none', async () => {
  await using miser = await HostileServer.start(breakingRest(1));
  assert.equal(await failureOf(fetched(miser)), 'connection-lost');
  assert.equal(miser.requests.length, 11);
  await using dead = await HostileServer.start(breakingRest(0));
  assert.equal(await failureOf(fetched(dead)), 'connection-lost');
  assert.equal(dead.requests.length, 1);
});

test('the limit holds for all parts together', async () => {
  await using server = await HostileServer.start(breakingRest(300));
  assert.equal(await failureOf(fetched(server, 999)), 'server-too-much');
  await using endless = await HostileServer.start((socket, _, round) => {
    socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n');
    socket.write('x'.repeat(600), () => socket.end());
    assert.ok(round < 5);
  });
  assert.equal(await failureOf(fetched(endless, 500)), 'server-too-much');
});

test('a part that nobody asked for is refused', async () => {
  await using server = await HostileServer.start(breaking(document, 1000));
  assert.equal(await failureOf(fetched(server)), 'server-protocol');
  assert.deepEqual(partsOf(server.requests), ['whole']);
});

/** Sends ten pieces of 100 bytes, each of which takes so long by the client's clock. */
async function inPiecesOf(ms: number): Promise<string> {
  let now = 0;
  const clock = { ...realClock, monotonicMs: () => now };
  await using server = await HostileServer.start((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
    const send = (piece: number): void => {
      if (piece === 10) return;
      now += ms;
      socket.write(document.subarray(piece * 100, (piece + 1) * 100), () => setTimeout(send, 5, piece + 1));
    };
    // The head is waited for apart.
    setTimeout(send, 20, 0);
  });
  const http = testHttp({ clock, idleTimeoutMs: 60_000, minimumRate: { bytesPerSecond: 10, windowMs: 60_000 } });
  return await http.fetchBytes(server.url(), { maxBytes: 1000, signal }).then(
    (bytes) => (document.equals(bytes) ? 'whole' : 'wrong'),
    (error: UpdateError) => error.code,
  );
}

test('a document may come as slowly as a bundle, for minutes, but not more slowly', async () => {
  assert.equal(await inPiecesOf(9_000), 'whole');
  assert.equal(await inPiecesOf(15_000), 'server-slow');
});
