/** Whoever sends a request slowly is cut off when its time is over; whoever takes an answer slowly is not. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { temporaryFolder } from '../support/bundles.ts';
import { makeTlsFiles } from '../support/tls-files.ts';
import { TestFleet } from './pages/fleet.ts';

const PATIENCE_MS = 400;
const SIZE = 20_000_000;
let site: TestFleet;

before(async () => {
  site = new TestFleet();
  site.patience = { requestMs: PATIENCE_MS };
  site.file('targets/large.bundle', 'x'.repeat(SIZE));
  await site.start();
});
after(() => site[Symbol.asyncDispose]());

const portOf = ({ url }: TestFleet): number => Number(new URL(url).port);

function dialed(): Socket {
  const socket = connect(portOf(site), '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

/** The server may be quicker, and then it is a reset. */
const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

/** Sends `head`, then a byte of `rest` now and then; resolves when the server has ended the connection. */
async function cutOff(head: string, rest: string): Promise<Readonly<{ tookMs: number; answer: string }>> {
  const begun = performance.now();
  const socket = dialed();
  let answer = '';
  socket.on('data', (bytes) => {
    answer += String(bytes);
  });
  socket.write(head);
  let at = 0;
  const trickle = setInterval(() => {
    if (rest.length > 0 && socket.writable) socket.write(rest[at++ % rest.length] ?? '');
  }, 20);
  await closed(socket);
  clearInterval(trickle);
  return { tookMs: performance.now() - begun, answer };
}

const POST = 'POST /v1/check-in HTTP/1.1\r\nhost: fleet\r\ncontent-type: application/json\r\n';
const SLOW: readonly (readonly [kind: string, head: string, rest: string])[] = [
  ['never says anything', '', ''],
  ['stops within its first line', 'GET /heal', ''],
  ['stops within its headers', 'GET /healthz HTTP/1.1\r\nhost: fleet\r\n', ''],
  ['trickles its first line', 'GET /', 'a'],
  ['trickles its headers', 'GET /healthz HTTP/1.1\r\nhost: fleet\r\nx-slow: ', 'a'],
  ['stops before its body', `${POST}content-length: 900\r\n\r\n`, ''],
  ['trickles its body', `${POST}content-length: 900\r\n\r\n{`, ' '],
  ['trickles the chunks of its body', `${POST}transfer-encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
  ['waits to be told to go on', `${POST}content-length: 900\r\nexpect: 100-continue\r\n\r\n`, ''],
  ['goes on sending what nobody wants', 'POST /nothing HTTP/1.1\r\nhost: fleet\r\ncontent-length: 900\r\n\r\n', ' '],
  ['begins a second request', 'GET /healthz HTTP/1.1\r\nhost: fleet\r\n\r\nGET /heal', ''],
];

for (const [kind, head, rest] of SLOW)
  test(`a client that ${kind} is cut off when its time is over`, async () => {
    const { tookMs, answer } = await cutOff(head, rest);
    assert.ok(tookMs < 20 * PATIENCE_MS, `${tookMs} ms`);
    assert.ok(tookMs > PATIENCE_MS / 2, `${tookMs} ms: ${answer}`);
    if (answer !== '') assert.match(answer, /^HTTP\/1\.1 [124]\d\d /);
  });

test('a refusal for being slow has a code and a next step', async () => {
  const { answer } = await cutOff(`${POST}content-length: 900\r\n\r\n`, '');
  assert.match(answer, /^HTTP\/1\.1 408 /);
  const { code, next } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Record<string, string>;
  assert.equal(code, 'request-slow');
  assert.ok((next ?? '').length > 0);
});

/** Reads a little, waits a little, and then the rest. */
async function readSlowly(socket: Socket, pauses: number): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  const whole = new Promise<void>((resolve) => {
    socket.on('data', (bytes: Buffer) => {
      pieces.push(bytes);
      length += bytes.length;
      if (length > SIZE) resolve();
    });
    socket.once('close', () => resolve());
  });
  for (let turn = 0; turn < pauses; turn++) {
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS / 4));
    socket.resume();
    await new Promise(setImmediate);
  }
  await whole;
  return Buffer.concat(pieces).toString('latin1');
}

for (const [kind, behind] of [
  ['', ''],
  [', with a second request that is not finished', 'GET /heal'],
] as const)
  test(`a download that takes longer than a request may is whole${kind}`, async () => {
    const socket = dialed();
    socket.write(`GET /targets/large.bundle HTTP/1.1\r\nhost: fleet\r\n\r\n${behind}`);
    const answer = await readSlowly(socket, 12);
    socket.destroy();
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
    assert.equal(body.length >= SIZE, true, `${body.length} bytes`);
    assert.match(body.slice(0, SIZE), /^x+$/);
  });

test('a client that takes nothing of its answer is cut off in the end', async () => {
  await using other = new TestFleet();
  other.patience = { stallMs: PATIENCE_MS };
  other.file('targets/large.bundle', 'x'.repeat(SIZE));
  await other.start();
  const socket = connect(portOf(other), '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  const gone = new Promise((resolve) => other.app.server.once('connection', (served) => served.once('close', resolve)));
  socket.write('GET /targets/large.bundle HTTP/1.1\r\nhost: fleet\r\n\r\n');
  await gone;
  socket.destroy();
});

test('a client that does not get on with TLS is cut off when its time is over', async () => {
  await using folder = await temporaryFolder();
  const { serverCert, serverKey } = makeTlsFiles(folder.path, 'host');
  await using other = new TestFleet();
  other.patience = { requestMs: PATIENCE_MS };
  other.tls = { cert: readFileSync(serverCert), key: readFileSync(serverKey) };
  await other.start();
  const silent = connect(portOf(other), '127.0.0.1');
  silent.on('error', () => {});
  const shaken = connectTls(portOf(other), '127.0.0.1', { rejectUnauthorized: false });
  shaken.on('error', () => {});
  shaken.write('GET /heal');
  shaken.resume();
  await Promise.all([closed(silent), closed(shaken)]);
});

test('what a server of production allows is what is documented', async () => {
  await using plain = await new TestFleet().start();
  const { requestTimeout, headersTimeout, timeout } = plain.app.server;
  assert.deepEqual([requestTimeout, headersTimeout, timeout], [30_000, 30_000, 600_000]);
});
