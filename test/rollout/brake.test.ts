/** The brake: whatever hosts do and whenever they report, the limits hold. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MachineId } from '../../src/model.ts';
import {
  admit as admitTo,
  emptyLedger,
  fail,
  giveUpOverdue,
  type Ledger,
  type Limits,
  pull,
  release,
  succeed,
} from '../../src/rollout/brake.ts';

const m = (number: number): MachineId => `machine-${number}` as MachineId;
const LIMITS = { maxInFlight: 3, maxFailures: 2 };

const admit = (ledger: Ledger, limits: Limits, machine: MachineId, now: number, patienceMs: number) =>
  admitTo(ledger, limits, { machine }, now, patienceMs);
function report(ledger: Ledger, limits: Limits, machine: MachineId, failure: string | undefined, now: number): void {
  if (failure === undefined) succeed(ledger, machine);
  else fail(ledger, limits, { machine }, { reason: failure }, now);
}

type Deed = Readonly<{ kind: 'ask' | 'well' | 'ill' | 'wait'; machine: number; time: number }>;
const anyDeed: fc.Arbitrary<Deed> = fc.record({
  kind: fc.constantFrom('ask', 'well', 'ill', 'wait'),
  machine: fc.nat(12),
  time: fc.nat(30),
});

test('whatever happens, no more are under way than the limit, and after the brake nobody new begins', () => {
  fc.assert(
    fc.property(fc.array(anyDeed, { maxLength: 200 }), (deeds) => {
      const ledger = emptyLedger();
      const made = new Set<MachineId>();
      let now = 0;
      for (const { kind, machine, time } of deeds) {
        now += time;
        const before = new Set(ledger.inFlight.keys());
        const wasBraked = ledger.braked !== undefined;
        const known = ledger.inFlight.has(m(machine)) || ledger.failed.has(m(machine));
        if (kind === 'ask' && !made.has(m(machine))) admit(ledger, LIMITS, m(machine), now, 100);
        if (kind === 'well') report(ledger, LIMITS, m(machine), undefined, now);
        if (kind === 'well' && known) made.add(m(machine));
        if (kind === 'ill' && before.has(m(machine))) report(ledger, LIMITS, m(machine), 'unhealthy', now);
        if (kind === 'wait') giveUpOverdue(ledger, LIMITS, now);
        assert.ok(ledger.inFlight.size <= LIMITS.maxInFlight);
        if (wasBraked)
          for (const one of ledger.inFlight.keys()) assert.ok(before.has(one), 'nobody begins after the brake');
        if (ledger.failed.size > LIMITS.maxFailures) assert.ok(ledger.braked, 'the brake always pulls');
        assert.equal(ledger.updated, made.size);
        for (const one of ledger.inFlight.keys()) assert.ok(!ledger.failed.has(one), 'nobody is counted twice');
      }
    }),
  );
});

test('a host that asks twice has one place', () => {
  const ledger = emptyLedger();
  for (const one of [1, 1, 2, 3]) assert.equal(admit(ledger, LIMITS, m(one), 0, 100).admitted, true);
  assert.deepEqual(admit(ledger, LIMITS, m(4), 0, 100), {
    admitted: false,
    code: 'full',
    reason: '3 hosts under way, which is the limit',
  });
});

test('a host that is not heard of again counts as failed, and its place is free', () => {
  const ledger = emptyLedger();
  for (const one of [1, 2, 3]) admit(ledger, LIMITS, m(one), one, 100);
  assert.equal(admit(ledger, LIMITS, m(4), 101, 100).admitted, true);
  assert.deepEqual([...ledger.failed], [[m(1), { reason: 'no report in time', doubt: 'silent' }]]);
  report(ledger, LIMITS, m(1), undefined, 150);
  assert.deepEqual([ledger.failed.size, ledger.updated], [0, 1]);
});

test('a host on which the release failed does not get it again', () => {
  const ledger = emptyLedger();
  admit(ledger, LIMITS, m(1), 0, 100);
  report(ledger, LIMITS, m(1), 'unhealthy', 1);
  const { admitted, ...why } = admit(ledger, LIMITS, m(1), 2, 100);
  assert.equal(admitted, false);
  assert.equal('code' in why && why.code, 'failed-here');
});

test('once an operator has released the brake the rollout goes on, and fails again only by new failures', () => {
  const ledger = emptyLedger();
  for (const one of [1, 2, 3]) {
    admit(ledger, LIMITS, m(one), 0, 100);
    report(ledger, LIMITS, m(one), 'unhealthy', 1);
  }
  assert.match(ledger.braked?.reason ?? '', /3 hosts failed, 2 allowed/);
  assert.equal(admit(ledger, LIMITS, m(4), 2, 100).admitted, false);
  release(ledger);
  assert.equal(admit(ledger, LIMITS, m(4), 2, 100).admitted, true);
  report(ledger, LIMITS, m(4), 'unhealthy', 3);
  assert.equal(ledger.braked, undefined);
});

test('a pause by hand stops beginners, and forgives nothing when it ends, however often it is ended', () => {
  const ledger = emptyLedger();
  for (const one of [1, 2, 3]) admit(ledger, LIMITS, m(one), 0, 100);
  report(ledger, LIMITS, m(1), 'unhealthy', 1);
  pull(ledger, 'lunch', 2);
  pull(ledger, 'tea', 3);
  assert.equal(ledger.braked?.reason, 'lunch');
  assert.equal(admit(ledger, LIMITS, m(4), 4, 100).admitted, false);
  report(ledger, LIMITS, m(2), 'unhealthy', 5);
  release(ledger);
  release(ledger);
  assert.equal(ledger.failed.size, 2);
  assert.equal(admit(ledger, LIMITS, m(4), 6, 100).admitted, true);
  pull(ledger, 'tea', 7);
  report(ledger, LIMITS, m(3), 'unhealthy', 8);
  release(ledger);
  assert.equal(admit(ledger, LIMITS, m(5), 9, 100).admitted, false, 'what failed during a pause counts');
});
