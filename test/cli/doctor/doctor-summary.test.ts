/** How doctor ends: with a count of what it found, and with the status that goes with it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail, ok, unknown, warn } from '../../../src/cli/doctor/finding.ts';
import { summaryOf } from '../../../src/cli/doctor/report.ts';

test('the last line counts what was found', () => {
  assert.equal(summaryOf([ok('x'), ok('x')]), 'All 2 checks passed.');
  assert.equal(summaryOf([ok('x'), warn('x', 'y')]), 'Of 2 checks: 1 passed, 1 with a warning.');
  assert.equal(
    summaryOf([ok('x'), fail('x', 'y'), fail('x', 'y'), unknown('x', 'y')]),
    'Of 4 checks: 1 passed, 2 failed, 1 could not be run.',
  );
});
