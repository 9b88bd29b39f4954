/** All must be open; a soft objection can be overridden, a hard one never. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { combine, earliest, reasonOf } from '../../../src/reboot/gates/combine.ts';
import { closed, GATE_CODES, type GateVerdict, OPEN } from '../../../src/reboot/gates/gate.ts';

const moment = fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms));
const verdict: fc.Arbitrary<GateVerdict> = fc.oneof(
  fc.constant(OPEN),
  fc
    .tuple(fc.constantFrom(...GATE_CODES), fc.constantFrom('soft', 'hard'), fc.string(), fc.option(moment))
    .map(([code, strength, reason, next]) => closed(code, strength, reason, next ? { next } : {})),
);
const override = fc.constantFrom(undefined, 'apply', 'deadline');

test('a reboot may happen exactly when no objection is heard, and a hard one is always heard', () => {
  fc.assert(
    fc.property(fc.array(verdict), override, (verdicts, by) => {
      const all = combine(verdicts, by);
      const hard = verdicts.some((one) => !one.ok && one.strength === 'hard');
      const any = verdicts.some((one) => !one.ok);
      assert.equal(all.open, by === undefined ? !any : !hard);
      assert.equal(all.closed.length + all.overridden.length, verdicts.filter((one) => !one.ok).length);
      assert.equal(all.override, all.overridden.length > 0 ? by : undefined);
    }),
  );
});

test('before the next possible moment at least one gate is still closed, and one that cannot say leaves it open', () => {
  const at = (ms: number) => new Date(ms);
  const one = closed('window-closed', 'soft', 'a', { next: at(5) });
  const two = closed('black-out', 'hard', 'b', { next: at(9) });
  const three = closed('inhibited', 'hard', 'c');
  assert.deepEqual(combine([one, two]).next, at(9));
  assert.equal(combine([one, three]).next, undefined);
  assert.deepEqual(combine([one, two], 'deadline').next, at(9));
  assert.deepEqual(earliest([one, two, three]), at(5));
  assert.equal(earliest([three]), undefined);
  assert.equal(reasonOf(combine([one, OPEN, two])), 'a; b');
});
