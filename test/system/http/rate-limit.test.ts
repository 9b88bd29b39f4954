/** The rate limit, by a clock that moves only when someone sleeps. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Clock, realClock } from '../../../src/system/clock.ts';
import { createHttp } from '../../../src/system/http/http.ts';
import { createRateLimit } from '../../../src/system/http/rate-limit.ts';
import { HostileServer, serving } from '../../support/hostile-server.ts';

const signal = new AbortController().signal;

/** Sleepers wake in the order of their times, each when the clock has come that far. */
function simulatedClock() {
  const clock = {
    ...realClock,
    at: 0,
    sleeps: 0,
    monotonicMs: () => clock.at,
    sleep: async (ms: number) => {
      clock.sleeps += 1;
      clock.at += ms;
    },
  };
  return clock satisfies Clock;
}

test('in the long run no more comes than is allowed, and no less', async () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 1, maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1000, max: 10_000_000 }), async (sizes, bytesPerSecond) => {
      const clock = simulatedClock();
      const limit = createRateLimit({ bytesPerSecond, clock });
      for (const size of sizes) await limit.take(size, signal);
      const due = (sizes.reduce((sum, size) => sum + size, 0) * 1000) / bytesPerSecond;
      assert.ok(clock.at > due - 1 && clock.at < due + 1, `${clock.at} ms instead of ${due}`);
    }),
  );
});

test('connections share the limit', async () => {
  const until: number[] = [];
  const clock: Clock = { ...realClock, monotonicMs: () => 0, sleep: async (ms) => void until.push(ms) };
  const limit = createRateLimit({ bytesPerSecond: 1000, clock });
  await Promise.all([500, 500, 500].map((bytes) => limit.take(bytes, signal)));
  assert.deepEqual(until, [500, 1000, 1500]);
});

test('a pause is not saved up beyond a moment', async () => {
  const clock = simulatedClock();
  const limit = createRateLimit({ bytesPerSecond: 1000, clock });
  clock.at = 3_600_000;
  await limit.take(1000, signal);
  assert.equal(clock.at, 3_600_750);
});

test('no limit costs nothing', async () => {
  const clock = simulatedClock();
  const limit = createRateLimit({ bytesPerSecond: 0, clock });
  await limit.take(1e12, signal);
  assert.equal(clock.sleeps, 0);
});

test('giving up ends the wait', async () => {
  const stop = new AbortController();
  const limit = createRateLimit({ bytesPerSecond: 1, clock: realClock });
  const waiting = limit.take(1e6, stop.signal);
  stop.abort();
  await assert.rejects(waiting);
});

test('every byte of a large file counts against the limit, those of small documents do not', async () => {
  const file = Buffer.alloc(300_000, 7);
  await using server = await HostileServer.start(serving(file));
  const clock = simulatedClock();
  const rateLimit = createRateLimit({ bytesPerSecond: 1000, clock });
  const patience = { connectTimeoutMs: 5000, idleTimeoutMs: 5000, userAgent: 'test', clock: realClock };
  const http = createHttp({ ...patience, rateLimit });
  await http.fetchBytes(server.url(), { maxBytes: 300_000, signal });
  assert.equal(clock.at, 0);
  let size = 0;
  for await (const piece of http.openBytes(server.url(), { offset: 0, expectedTotal: 300_000, signal }))
    size += piece.length;
  assert.equal(size, 300_000);
  assert.ok(Math.abs(clock.at - 300_000) < 1, `${clock.at} ms`);
});
