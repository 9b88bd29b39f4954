/** When the loop turns next, and what is said of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPolls } from '../../src/agent/find/poll-timer.ts';
import { UpdateError } from '../../src/errors.ts';
import type { Product, State, Version } from '../../src/model.ts';

const MINUTE = 60_000;
const release = { product: 'demo' as Product, version: '2.0' as Version };
const trial: State = { kind: 'trial', release, target: 'b' };
const staging: State = { kind: 'staging', release, target: 'b', attempt: 1 };

function pollsAt(start: string) {
  const slept: number[] = [];
  const shown: (string | undefined)[] = [];
  const polls = createPolls({
    clock: {
      now: () => new Date(start),
      monotonicMs: () => 0,
      sleep: async (ms) => {
        slept.push(ms);
        shown.push(polls.status().nextTry);
      },
    },
    random: { fraction: () => 0.5, bytes: () => new Uint8Array() },
    limits: { backoffMs: MINUTE, backoffLimitMs: 240 * MINUTE, jitterMs: 0 },
    scheduled: () => new Date(new Date(start).getTime() + 24 * MINUTE),
  });
  return { polls, slept, shown };
}

const stop = new AbortController().signal;

test('what has failed is tried again when it is said to be, and not at the next check', async () => {
  const { polls, slept, shown } = pollsAt('2026-03-01T12:00:00.000Z');
  polls.succeeded({ result: 'r', code: 'offer' });
  polls.failed(new UpdateError('unexpected'), false);
  await polls.pause(staging, 'the next try', stop);
  assert.deepEqual([slept, shown], [[MINUTE / 2], ['2026-03-01T12:00:30.000Z']]);
  const { nextTry, nextCheck } = polls.status();
  assert.deepEqual([nextTry, nextCheck], [undefined, '2026-03-01T12:24:00.000Z']);
});

test('a check that failed is the next check, and no other try', () => {
  const { polls } = pollsAt('2026-03-01T12:00:00.000Z');
  polls.failed(new UpdateError('server-failed'), true);
  const { nextTry, nextCheck } = polls.status();
  assert.deepEqual([nextTry, nextCheck], [undefined, '2026-03-01T12:00:30.000Z']);
});

test('no sleep is longer than it is said to be, however often something failed', async () => {
  const { polls, slept, shown } = pollsAt('2026-03-01T12:00:00.000Z');
  for (let failures = 0; failures < 20; failures++) polls.failed(new UpdateError('unexpected'), false);
  await polls.pause(staging, 'the next try', stop);
  assert.deepEqual([slept, shown], [[10 * MINUTE], ['2026-03-01T12:10:00.000Z']]);
});

test('an unproven system is looked at every minute, however often something failed: the dead man waits', async () => {
  const { polls, slept } = pollsAt('2026-03-01T12:00:00.000Z');
  for (let failures = 0; failures < 20; failures++) polls.failed(new UpdateError('boot-partition-missing'), false);
  await polls.pause(trial, 'the next try', stop);
  assert.deepEqual(slept, [MINUTE]);
});
