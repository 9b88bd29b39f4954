/** Ranges over several connections and mirrors, of which some lie, break or stop. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { UpdateError } from '../../../src/errors.ts';
import { type Clock, realClock } from '../../../src/system/clock.ts';
import { fileSource } from '../../../src/system/disk/file-source.ts';
import { createHttp, type HttpOptions } from '../../../src/system/http/http.ts';
import type { RangeSource } from '../../../src/system/http/mirrors.ts';
import type { ByteRange } from '../../../src/system/http/range-plan.ts';
import { fetchRanges, type RangeOptions } from '../../../src/system/http/ranges.ts';
import { rangeSources } from '../../../src/system/http/source.ts';
import { dice } from '../../support/dice.ts';
import {
  answer,
  breaking,
  HostileServer,
  partsOf,
  rangeOf,
  type Script,
  serving,
} from '../../support/hostile-server.ts';
import { memorySource } from '../../support/sources.ts';

const signal = new AbortController().signal;
const random = { fraction: () => 0.5, bytes: () => new Uint8Array() };

const bytesOf = (size: number, seed = 1): Buffer => {
  const { roll } = dice(seed);
  return Buffer.from(Uint8Array.from({ length: size }, () => roll(256)));
};
const file = bytesOf(200_000);
const frames: readonly ByteRange[] = Array.from({ length: 20 }, (_, index) => ({
  start: index * 10_000 + 7,
  end: index * 10_000 + 9_000,
}));

/** A clock that stands still but for its sleepers, who take no time. */
const patientClock = () => {
  const clock = {
    ...realClock,
    slept: [] as number[],
    at: 0,
    monotonicMs: () => clock.at,
    sleep: async (ms: number) => {
      clock.slept.push(ms);
      clock.at += ms;
    },
  };
  return clock satisfies Clock;
};

type Change = Partial<RangeOptions> & { http?: Partial<HttpOptions>; clock?: Clock; ranges?: readonly ByteRange[] };

async function fetchAll(sources: readonly RangeSource[], change: Change = {}): Promise<number[]> {
  const { clock = patientClock(), ranges = frames } = change;
  const options = { resumption: { clock, random, attempts: 3 }, signal, plan: { gap: 0 }, ...change };
  const came: number[] = [];
  for await (const { range, bytes } of fetchRanges(sources, ranges, options)) {
    const { start, end } = ranges[range] ?? { start: 0, end: 0 };
    assert.ok(file.subarray(start, end).equals(bytes), `range ${range}`);
    came.push(range);
  }
  assert.deepEqual(
    came.toSorted((a, b) => a - b),
    [...ranges.keys()],
  );
  return came;
}

function fromServers(servers: readonly HostileServer[], change: Change = {}): Promise<number[]> {
  const patience = { connectTimeoutMs: 5000, idleTimeoutMs: 5000, userAgent: 'tandem-test', clock: realClock };
  const http = createHttp({ ...patience, ...change.http });
  const urls = servers.map((server) => server.url());
  return fetchAll(rangeSources(http, urls, file.length), change);
}

const refusal = (attempt: Promise<unknown>): Promise<UpdateError> =>
  attempt.then(
    () => assert.fail('nothing was refused'),
    (error: UpdateError) => error,
  );

/** The part with every byte changed. */
const lying: Script = (socket, request, round) => serving(file.map((byte) => byte ^ 255))(socket, request, round);

const check: RangeOptions['check'] = (range, bytes) => {
  const { start, end } = frames[range] ?? { start: 0, end: 0 };
  if (!file.subarray(start, end).equals(bytes)) throw new UpdateError('frame-mismatch', `range ${range} is wrong`);
};

test('every range comes once and whole, over as many connections as were allowed, which are kept', async () => {
  await using server = await HostileServer.start(serving(file));
  const counts = { requests: 0, bytes: 0 };
  const counted: HttpOptions['counted'] = (more) => {
    counts.requests += more.requests;
    counts.bytes += more.bytes;
  };
  await fromServers([server], { connections: 4, http: { counted } });
  assert.deepEqual(counts, { requests: 20, bytes: 20 * 8_993 });
  assert.equal(server.requests.length, 20);
  // A connection may be a moment late in becoming free for the next request.
  assert.ok(server.openSockets <= 8, `${server.openSockets} sockets`);
});

test('ranges that lie close together come in one request, the gaps are let go', async () => {
  await using server = await HostileServer.start(serving(file));
  await fromServers([server], { plan: { gap: 2000, most: 100_000 } });
  assert.deepEqual(partsOf(server.requests).toSorted(), ['100007-198999', '7-98999']);
});

test('any ranges in pieces of any size come as they are in the file, overlapping or empty or in disorder', async () => {
  const some = fc.array(
    fc.tuple(fc.nat(190_000), fc.nat(9_000)).map(([start, size]) => ({ start, end: start + size })),
    { maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(
      some,
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 5 }),
      async (ranges, piece, n) => {
        await fetchAll([memorySource(file, piece)], { ranges, connections: n, plan: { gap: 3000, most: 50_000 } });
      },
    ),
    { numRuns: 50 },
  );
});

test('a slow receiver slows the sources down: each connection is at most one range ahead', async () => {
  let read = 0;
  const source: RangeSource = {
    name: 'counting',
    size: file.length,
    async *open(offset, _, end = file.length) {
      for (let at = offset; at < end; at += 1000) {
        yield file.subarray(at, Math.min(end, at + 1000));
        read += Math.min(1000, end - at);
      }
    },
  };
  const options = { resumption: { clock: patientClock(), random }, signal, connections: 3 };
  let taken = 0;
  for await (const piece of fetchRanges([source], frames, options)) {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    taken += piece.bytes.length;
    assert.ok(read <= taken + 3 * 11_000, `${read} read, ${taken} taken`);
  }
});

test('a stick is a source like any other', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-ranges-'));
  try {
    writeFileSync(join(dir, 'file'), file);
    await using source = await fileSource(join(dir, 'file'));
    await fetchAll([source], { connections: 1 });
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const shifted =
  (by: number): Script =>
  (socket, request) => {
    const [start, end] = rangeOf(request, file.length);
    const range = `bytes ${start + by}-${end + by - 1}/${file.length}`;
    const body = Buffer.from(file.subarray(start + by, end + by)).toString('latin1');
    answer('206 Partial Content', { 'Content-Range': range, 'Content-Length': body.length }, body)(socket, request, 1);
  };

const changing: Script = (socket, request, round) =>
  serving(round < 5 ? file : bytesOf(file.length + 1, 2))(socket, request, round);

/** What a server does, what it is called, and whether it is worth asking again. */
const faults: readonly (readonly [string, Script, string, 'passes' | 'stays'])[] = [
  ['sends the whole file for a part', answer('200 OK', { 'Content-Length': 200_000 }, ''), 'server-no-ranges', 'stays'],
  ['denies all ranges', answer('416 Range Not Satisfiable', {}), 'server-no-ranges', 'stays'],
  [
    'denies ranges of a file of the right size',
    answer('416 Range Not Satisfiable', { 'Content-Range': 'bytes */200000' }),
    'server-no-ranges',
    'stays',
  ],
  [
    'has a shorter file',
    answer('416 Range Not Satisfiable', { 'Content-Range': 'bytes */3' }),
    'server-file-changed',
    'stays',
  ],
  ['answers for another range', shifted(-7), 'server-protocol', 'stays'],
  ['exchanges the file midway', changing, 'server-file-changed', 'stays'],
  ['says nothing of the range', answer('206 Partial Content', {}, 'abc'), 'server-protocol', 'stays'],
  [
    'sends several parts uninvited',
    answer('206 Partial Content', { 'Content-Type': 'multipart/byteranges; boundary=x' }, '--x--'),
    'server-encoding',
    'stays',
  ],
  ['lacks the file', answer('404 Not Found', {}), 'not-found-on-server', 'stays'],
  ['cuts every answer short', breaking(file, 100), 'connection-lost', 'passes'],
  ['fails', answer('500 Oops', {}), 'server-failed', 'passes'],
  ['says nothing', () => {}, 'server-timeout', 'passes'],
  ['closes at once', (socket) => socket.destroy(), 'connection-lost', 'passes'],
];
for (const [what, script, code, lasting] of faults) {
  const soon = what === 'says nothing' ? { connectTimeoutMs: 300, idleTimeoutMs: 300 } : {};
  test(`a server that ${what}: ${code}`, async () => {
    await using server = await HostileServer.start(script);
    const clock = patientClock();
    const error = await refusal(fromServers([server], { clock, connections: 1, http: soon }));
    assert.equal(error.code, code, error.message);
    assert.equal(clock.slept.length, lasting === 'passes' ? 2 : 0);
  });
  test(`a mirror that ${what} stops nothing as long as there is another`, async () => {
    await using bad = await HostileServer.start(script);
    await using good = await HostileServer.start(serving(file));
    const clock = patientClock();
    await fromServers([bad, good], { clock, connections: 2, http: soon });
    assert.deepEqual(clock.slept, []);
    assert.ok(bad.requests.length <= 8, `${bad.requests.length} requests to the bad mirror`);
  });
}

test('after a break only what is missing is asked for again', async () => {
  await using server = await HostileServer.start((socket, request, round) =>
    (round === 1 ? breaking(file, 12_345) : serving(file))(socket, request, round),
  );
  const clock = patientClock();
  await fromServers([server], { clock, connections: 1, plan: { gap: 2000 } });
  assert.deepEqual(partsOf(server.requests), ['7-198999', '12352-198999']);
  assert.equal(clock.slept.length, 1);
});

test('the next mirror goes on at the byte that was reached, without a pause', async () => {
  await using first = await HostileServer.start(breaking(file, 12_345));
  await using second = await HostileServer.start(serving(file));
  const clock = patientClock();
  await fromServers([first, second], { clock, connections: 1, plan: { gap: 2000 } });
  assert.deepEqual(partsOf(first.requests), ['7-198999']);
  assert.deepEqual(partsOf(second.requests), ['12352-198999']);
  assert.deepEqual(clock.slept, []);
});

test('a mirror that failed is left alone for a while, then asked again', async () => {
  await using first = await HostileServer.start((socket, request, round) =>
    (round === 1 ? answer('500 Oops', {}) : serving(file))(socket, request, round),
  );
  const clock = patientClock();
  await using second = await HostileServer.start((socket, request, round) => {
    clock.at += 10_000;
    serving(file)(socket, request, round);
  });
  await fromServers([first, second], { clock, connections: 1 });
  assert.equal(second.requests.length, 3);
  assert.equal(first.requests.length, 18);
});

test('when no mirror works any more, the last failure is thrown', async () => {
  await using first = await HostileServer.start(answer('404 Not Found', {}));
  await using second = await HostileServer.start(answer('500 Oops', {}));
  const error = await refusal(fromServers([first, second], { connections: 1 }));
  assert.equal(error.code, 'server-failed');
  assert.deepEqual([first.requests.length, second.requests.length], [1, 3]);
});

test('wrong bytes are asked for again at another mirror, and nothing but them', async () => {
  await using liar = await HostileServer.start(lying);
  await using good = await HostileServer.start(serving(file));
  await fromServers([liar, good], { check, connections: 1, plan: { gap: 2000 } });
  assert.deepEqual(partsOf(liar.requests), ['7-198999']);
  assert.deepEqual(partsOf(good.requests), ['7-8999', '10007-198999']);
});

test('when every mirror gives wrong bytes, what is wrong with them is thrown', async () => {
  await using one = await HostileServer.start(lying);
  await using other = await HostileServer.start(lying);
  const error = await refusal(fromServers([one, other], { check, connections: 1 }));
  assert.equal(error.code, 'frame-mismatch');
  assert.deepEqual([one.requests.length, other.requests.length], [1, 1]);
  await using alone = await HostileServer.start(lying);
  assert.equal((await refusal(fromServers([alone], { check, connections: 3 }))).code, 'frame-mismatch');
});

test('a range that came half from a liar does not convict the mirror that gave the other half', async () => {
  await using liar = await HostileServer.start(
    breaking(
      file.map((byte) => byte ^ 1),
      4000,
    ),
  );
  await using good = await HostileServer.start(serving(file));
  await fromServers([liar, good], { check, connections: 1 });
  assert.deepEqual(partsOf(liar.requests), ['7-8999']);
  assert.deepEqual(partsOf(good.requests).slice(0, 3), ['4007-8999', '7-8999', '10007-18999']);
});

test('leaving early closes every connection, and so does giving up', async () => {
  await using server = await HostileServer.start(serving(file));
  const http = createHttp({ connectTimeoutMs: 5000, idleTimeoutMs: 5000, userAgent: 'x', clock: realClock });
  const sources = rangeSources(http, [server.url()], file.length);
  const resumption = { clock: patientClock(), random };
  await using silent = await HostileServer.start(() => {});
  for await (const _ of fetchRanges(sources, frames, { resumption, signal, connections: 4 })) break;
  const stop = new AbortController();
  const pending = fetchRanges(rangeSources(http, [silent.url()], file.length), frames, {
    resumption,
    signal: stop.signal,
    connections: 16,
  }).next();
  stop.abort(new Error('no more'));
  assert.equal((await refusal(pending)).message, 'no more');
  await silent.allClosed();
});
