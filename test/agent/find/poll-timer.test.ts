/** When the loop turns next: each wait ends, none is empty without a reason, and failures move the right one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPolls, soonest } from '../../../src/agent/find/poll-timer.ts';
import { type ErrorCode, UpdateError } from '../../../src/errors.ts';
import type { Product, State, Version } from '../../../src/model.ts';
import type { Clock } from '../../../src/system/clock.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const START = Date.parse('2026-03-01T00:00:00Z');
const LIMITS = { jitterMs: 0, backoffMs: 2 * MINUTE, backoffLimitMs: 4 * HOUR };
const FOUND = { result: '2 is running', code: 'up-to-date' };
const RELEASE = { release: { product: 'shop' as Product, version: '2' as Version }, target: 'b' } as const;
const IDLE: State = { kind: 'idle' };
const STAGED: State = { kind: 'staged', ...RELEASE };
const ARMED: State = { kind: 'armed', ...RELEASE, bootId: 'x' };
const CHECK = 'the next check';

type Wishes = Readonly<{ fraction?: number; limits?: Partial<typeof LIMITS>; scheduled?: () => Date | undefined }>;

/** Time passes only while somebody sleeps, or is told to. `scheduled`: on each full hour. */
function world({ fraction = 0.5, limits = {}, scheduled }: Wishes = {}) {
  const time = { wall: START, monotonic: 7 };
  const slept: number[] = [];
  const passes = (ms: number): void => {
    time.wall += ms;
    time.monotonic += ms;
  };
  const clock: Clock = {
    now: () => new Date(time.wall),
    monotonicMs: () => time.monotonic,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
      passes(ms);
    },
  };
  const hourly = (): Date => new Date(Math.floor(time.wall / HOUR) * HOUR + HOUR);
  const polls = createPolls({
    clock,
    random: { fraction: () => fraction, bytes: () => new Uint8Array() },
    limits: { ...LIMITS, ...limits },
    scheduled: scheduled ?? hourly,
  });
  const stop = new AbortController();
  const pause = (state: State, reason = CHECK, longestMs?: number) =>
    polls.pause(state, reason, stop.signal, longestMs);
  return { polls, time, passes, slept, stop, pause };
}

const failure = (code: ErrorCode, details = {}) => new UpdateError(code, undefined, { details });

test('the first check comes within the jitter of the start', async () => {
  const { polls, pause, slept } = world({ limits: { jitterMs: MINUTE } });
  assert.equal(polls.isDue(), false);
  await pause(IDLE);
  assert.deepEqual([slept, polls.isDue()], [[30 * SECOND], true]);
});

test('after a check that was answered the next one comes when the schedule says, and the jitter after it', async () => {
  const { polls, passes, pause, slept } = world({ limits: { jitterMs: 10 * MINUTE } });
  passes(50 * MINUTE);
  polls.succeeded(FOUND);
  assert.equal(polls.next().toISOString(), '2026-03-01T01:05:00.000Z');
  while (!polls.isDue()) await pause(IDLE);
  assert.deepEqual(slept, [10 * MINUTE, 5 * MINUTE]);
  assert.deepEqual(polls.status(), {
    lastCheck: { at: '2026-03-01T00:50:00.000Z', ...FOUND },
    lastGoodCheck: '2026-03-01T00:50:00.000Z',
    nextCheck: '2026-03-01T01:05:00.000Z',
  });
});

test('without a schedule, or with one that a clock has left behind, checks go on', () => {
  const never = world({ scheduled: () => undefined });
  never.polls.succeeded(FOUND);
  assert.equal(never.polls.next().getTime() - START, LIMITS.backoffLimitMs);
  const past = world({ scheduled: () => new Date(START - HOUR) });
  past.polls.succeeded(FOUND);
  assert.equal(past.polls.isDue(), true);
});

test('checks that fail in a row are further and further apart, up to the limit, until one is answered', () => {
  const { polls, passes, time } = world({ fraction: 1 });
  const waits: number[] = [];
  for (let failures = 0; failures < 9; failures++) {
    polls.failed(failure('server-unreachable'), true);
    waits.push((polls.next().getTime() - time.wall) / MINUTE);
    passes(waits.at(-1) ?? 0);
  }
  assert.deepEqual(waits, [2, 4, 8, 16, 32, 64, 128, 240, 240]);
  polls.succeeded(FOUND);
  polls.failed(failure('server-unreachable'), true);
  assert.equal(polls.next().getTime() - time.wall, 2 * MINUTE);
});

test('a failed check says when it was and what it met; the last good one stays known', () => {
  const { polls, passes } = world();
  polls.succeeded(FOUND);
  passes(HOUR);
  polls.failed(failure('server-unreachable'), true);
  const { lastCheck, lastGoodCheck } = polls.status();
  assert.deepEqual(lastCheck, {
    at: '2026-03-01T01:00:00.000Z',
    result: 'server-unreachable',
    code: 'server-unreachable',
  });
  assert.equal(lastGoodCheck, '2026-03-01T00:00:00.000Z');
});

test('a server is not asked before the time that it has named', () => {
  const { polls, time } = world({ fraction: 0 });
  polls.failed(failure('server-busy', { retryAfterMs: 17 * MINUTE }), true);
  assert.equal(polls.next().getTime() - time.wall, 17 * MINUTE);
});

test('what asking again cannot change is asked at the usual time', () => {
  const { polls } = world();
  polls.failed(failure('manifest-invalid'), true);
  assert.equal(polls.next().toISOString(), '2026-03-01T01:00:00.000Z');
});

test('what failed beside a check is tried again after the back-off, once, and moves no check', async () => {
  const { polls, pause, slept } = world();
  polls.succeeded(FOUND);
  const before = polls.next();
  polls.failed(failure('lock-lost'), false);
  await pause(ARMED, 'the next try');
  polls.failed(failure('lock-lost'), false);
  await pause(IDLE, 'the next try');
  assert.deepEqual(slept, [MINUTE, 2 * MINUTE]);
  assert.deepEqual([polls.next(), polls.status().lastCheck?.code], [before, 'up-to-date']);
  await pause(IDLE);
  assert.equal(slept.at(-1), 10 * MINUTE);
});

test('who waits for the lock or a gate looks again when they say, and nobody sleeps for more than ten minutes', async () => {
  const { polls, pause, slept } = world();
  polls.succeeded(FOUND);
  await pause(STAGED, 'the lock', 20 * SECOND);
  await pause(STAGED, 'the lock', 20 * HOUR);
  await pause(IDLE);
  assert.deepEqual(slept, [20 * SECOND, 10 * MINUTE, 10 * MINUTE]);
});

test('a machine that was asked to restart, or fails otherwise, is asked again', async () => {
  const { pause, slept } = world();
  await pause(ARMED, 'the restart of the machine');
  await pause(ARMED, 'the next try');
  assert.deepEqual(slept, [5 * MINUTE, LIMITS.backoffMs]);
});

test('a check that is due is not slept over', async () => {
  const { polls, passes, pause, slept } = world();
  polls.succeeded(FOUND);
  passes(3 * HOUR);
  await pause(STAGED, 'a gate');
  assert.deepEqual([slept, polls.isDue()], [[0], true]);
});

test('whoever speaks ends the sleep, also right before it, and only that one', async () => {
  const { polls, pause, slept } = world();
  polls.succeeded(FOUND);
  polls.wake();
  await pause(IDLE);
  assert.deepEqual(slept, []);
  await pause(IDLE);
  assert.deepEqual(slept, [10 * MINUTE]);
});

test('the end of the agent ends the sleep, and is no failure', async () => {
  const { pause, stop, slept } = world();
  stop.abort();
  await pause(IDLE);
  assert.deepEqual(slept, []);
});

test('of two waits the shorter one counts, where there is any', () => {
  assert.deepEqual([soonest(1, 2), soonest(2, 1), soonest(undefined, 3), soonest(3, undefined)], [1, 1, 3, 3]);
  assert.equal(soonest(undefined, undefined), undefined);
});
