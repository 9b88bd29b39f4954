/** Versions are ordered as the specification and systemd order them. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareVersionTexts } from '../src/version.ts';

// Each line from the oldest to the newest; "=" joins versions of equal age. From the specification and its examples.
const EXAMPLES = [
  '122.1 < 123~rc1-1 < 123 < 123-a < 123-a.1 < 123-1 < 123-1.1 < 123^post1 < 123.a-1 < 123.1-1 < 123a-1 < 124-1',
  '1.0~rc1 < 1.0 < 1.0.1 < 1.1 < 1.10',
  '1.0~ < 1.0 < 1.0a < 1.0a1',
  '00123 = 123',
  '1.A < 1.a < 1.ab < 1.b < 1.0',
  '1_2 = 1+2',
  '99999999999999999998 < 99999999999999999999',
];

for (const line of EXAMPLES)
  test(`versions are ordered: ${line}`, () => {
    const parts = line.split(/ ([<=]) /);
    for (let at = 0; at + 2 < parts.length; at += 2) {
      const [a = '', sign, b = ''] = parts.slice(at, at + 3);
      assert.equal(compareVersionTexts(a, b), sign === '<' ? -1 : 0, `${a} ${sign} ${b}`);
      assert.equal(compareVersionTexts(b, a), sign === '<' ? 1 : 0, `${b}, ${a}`);
    }
  });

const version = fc
  .array(fc.constantFrom('0', '1', '9', '10', '007', 'a', 'b', 'rc', 'RC', '.', '-', '~', '^', '.', '_'), {
    maxLength: 6,
  })
  .map((parts) => `v${parts.join('')}`);

test('any two versions are ordered as systemd-analyze orders them', () => {
  const signs: Record<number, number> = { 0: 0, 11: 1, 12: -1 };
  fc.assert(
    fc.property(version, version, (a, b) => {
      const systemd = spawnSync('systemd-analyze', ['compare-versions', a, b]);
      assert.equal(compareVersionTexts(a, b), signs[systemd.status ?? -1], `${a} and ${b}: ${systemd.stdout}`);
    }),
    { numRuns: 150 },
  );
});

test('the order is total: antisymmetric and transitive', () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(compareVersionTexts(a, b) + compareVersionTexts(b, a), 0);
      const sorted = [a, b, c].sort(compareVersionTexts);
      assert.ok(compareVersionTexts(sorted[0] ?? '', sorted[2] ?? '') <= 0);
    }),
  );
});
