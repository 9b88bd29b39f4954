/** A whole file from several mirrors. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpdateError } from '../../../src/errors.ts';
import { realClock } from '../../../src/system/clock.ts';
import { createHttp } from '../../../src/system/http/http.ts';
import { createMirrors } from '../../../src/system/http/mirrors.ts';
import { httpSource } from '../../../src/system/http/source.ts';
import { answer, breaking, HostileServer, partsOf, serving } from '../../support/hostile-server.ts';
import { memorySource } from '../../support/sources.ts';

const signal = new AbortController().signal;
const http = createHttp({ connectTimeoutMs: 5000, idleTimeoutMs: 5000, userAgent: 'test', clock: realClock });
const random = { fraction: () => 0.5, bytes: () => new Uint8Array() };
const file = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));

const failure = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'nothing',
    (error: UpdateError) => error.code,
  );

async function download(servers: readonly HostileServer[], slept: number[] = []): Promise<Buffer> {
  const clock = { ...realClock, sleep: async (ms: number) => void slept.push(ms) };
  const urls = servers.map((server) => server.url());
  const source = httpSource(http, urls, file.length, { clock, random, attempts: 3 });
  const pieces: Uint8Array[] = [];
  for await (const piece of source.open(10, signal)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('a download goes on at the next mirror from the byte that was reached, without a pause', async () => {
  await using first = await HostileServer.start(breaking(file, 30_000));
  await using second = await HostileServer.start(answer('404 Not Found', {}));
  await using third = await HostileServer.start(serving(file));
  const slept: number[] = [];
  assert.ok((await download([first, second, third], slept)).equals(file.subarray(10)));
  assert.deepEqual(partsOf(third.requests), ['30010-99999']);
  assert.deepEqual(slept, []);
});

test('while one mirror may come back it is asked again, those that never will are not', async () => {
  await using gone = await HostileServer.start(answer('404 Not Found', {}));
  await using shaky = await HostileServer.start((socket, request, round) =>
    (round < 3 ? answer('500 Oops', {}) : serving(file))(socket, request, round),
  );
  const slept: number[] = [];
  assert.ok((await download([gone, shaky], slept)).equals(file.subarray(10)));
  assert.deepEqual([gone.requests.length, shaky.requests.length, slept.length], [1, 3, 2]);
});

test('with no mirror left the last failure is thrown', async () => {
  await using denied = await HostileServer.start(answer('403 Forbidden', {}));
  await using gone = await HostileServer.start(answer('404 Not Found', {}));
  assert.equal(await failure(download([denied, gone])), 'not-found-on-server');
});

test('a mirror that asks for a long wait is left out, a short wait is kept when it is its turn', () => {
  let now = 0;
  const mirrors = createMirrors(
    ['one', 'two'].map((name) => memorySource(file, 100, name)),
    { ...realClock, monotonicMs: () => now },
    30_000,
  );
  const busy = (retryAfterMs: number) => new UpdateError('server-busy', 'later', { details: { retryAfterMs } });
  const none = new Set<number>();
  mirrors.failed(0, busy(5000));
  assert.deepEqual(mirrors.next(none), { mirror: 1, isBehind: false, askedMs: 0 });
  mirrors.failed(1, busy(60_000));
  assert.deepEqual(mirrors.next(none), { mirror: 0, isBehind: true, askedMs: 5000 });
  now = 3_600_000;
  assert.equal(mirrors.next(none)?.isBehind, false);
  mirrors.failed(0, busy(60_000));
  assert.equal(mirrors.next(none), undefined);
});

test('each failure of a mirror puts it behind for longer, up to ten minutes', () => {
  let now = 0;
  const clock = { ...realClock, monotonicMs: () => now };
  const mirrors = createMirrors([memorySource(file, 100), memorySource(file, 100)], clock, 30_000);
  const behindFor = (): number => {
    mirrors.failed(0);
    const began = now;
    while (mirrors.next(new Set())?.mirror !== 0) now += 30_000;
    return (now - began) / 60_000;
  };
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(behindFor), [0.5, 1, 2, 4, 8, 10, 10]);
});
