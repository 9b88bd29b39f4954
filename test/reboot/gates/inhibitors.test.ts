/** Who holds the machine up by way of logind. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inhibitorsVerdict } from '../../../src/reboot/gates/inhibitors.ts';

const answer = (...rows: readonly unknown[][]): string => JSON.stringify({ type: 'a(ssssuu)', data: [rows] });

test('a program that blocks the shutdown is named, with its reason', () => {
  const verdict = inhibitorsVerdict(
    answer(
      ['sleep', 'UPower', 'pause', 'delay', 0, 1],
      ['idle:shutdown', 'backup\u001b[2J', 'nightly copy', 'block', 0, 812],
    ),
  );
  assert.ok(!verdict.ok);
  assert.equal(verdict.code, 'inhibited');
  assert.equal(verdict.strength, 'hard');
  assert.equal(verdict.reason, 'backup [2J inhibits the shutdown: nightly copy');
});

test('what only delays the shutdown, or blocks something else, is no objection', () => {
  const verdict = inhibitorsVerdict(answer(['shutdown', 'a', 'b', 'delay', 0, 1], ['sleep', 'a', 'b', 'block', 0, 1]));
  assert.equal(verdict.ok, true);
});

test('whatever is answered, there is a verdict', () => {
  fc.assert(fc.property(fc.string(), (text) => typeof inhibitorsVerdict(text).ok === 'boolean'));
  fc.assert(
    fc.property(fc.jsonValue(), (value) => typeof inhibitorsVerdict(JSON.stringify({ data: value })).ok === 'boolean'),
  );
});
