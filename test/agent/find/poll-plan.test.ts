/** When hosts ask again: spread out, further apart with each failure, never sooner than the server asked for. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { jitter, retryDelay } from '../../../src/agent/find/poll-plan.ts';

const limits = { jitterMs: 600_000, backoffMs: 60_000, backoffLimitMs: 4 * 3_600_000 };
const fraction = fc.double({ min: 0, max: 0.999_999, noNaN: true });

test('polls are spread over the whole jitter', () => {
  assert.equal(jitter(limits, 0), 0);
  assert.equal(jitter(limits, 0.5), 300_000);
});

test('a retry is never later than the limit and never sooner than the server asked for', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fraction,
      fc.integer({ min: 0, max: 3_600_000 }),
      (n, part, after) => {
        const delay = retryDelay(limits, n, part, after);
        assert.ok(delay >= after && delay <= after + limits.backoffLimitMs);
      },
    ),
  ));

test('hosts that failed together do not come back together, however often they failed', () => {
  for (const failures of [1, 5, 50])
    assert.notEqual(retryDelay(limits, failures, 0.1), retryDelay(limits, failures, 0.9));
});
