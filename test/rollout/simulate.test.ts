/** The played fleet keeps the rules of the real one, whatever the policy. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Version } from '../../src/model.ts';
import { seeded } from '../../src/rollout/dice.ts';
import type { Rollout } from '../../src/rollout/rollout.ts';
import { type Fleet, play } from '../../src/rollout/simulate.ts';

const MINUTE = 60_000;
const step = (counter: number) => ({ version: `${counter}.0` as Version, counter });
const policy: Rollout = {
  release: step(2),
  start: Date.UTC(2030, 0, 1),
  canaries: { groups: ['canary'], soakMs: 720 * MINUTE },
  ramp: { durationMs: 2880 * MINUTE, steps: 10 },
  groups: new Map(),
  barriers: [],
  deadEnds: [],
  urgent: false,
  allowDowngrade: false,
};
const groups = [
  { name: 'canary', share: 0.02, running: step(1) },
  { name: 'rest', share: 0.98, running: step(1) },
];
const fleet: Fleet = { hosts: 2000, groups, poll: 30, install: 5, reboot: 2, failureRate: 0 };
const limits = { maxInFlight: 100, maxFailures: 20, patienceMs: 2880 * MINUTE };
const during = { minutes: 60 * 1440, sampleEvery: 60 };

test('a fleet without failures is updated whole, the limits hold, and canaries go first', () => {
  const played = play(policy, limits, { ...fleet, lock: 5 }, seeded(1), during);
  assert.ok(played.finishedAt !== undefined && played.finishedAt > 720 + 2880 * 0.9);
  assert.ok(played.mostInFlight <= 100 && played.mostRebooting <= 5);
  for (const { at, updated, inFlight } of played.samples)
    if (at < 720) assert.ok(updated + inFlight <= 40, `minute ${at}`);
});

test('with a release that always fails, the brake pulls at its budget, and few hosts are hurt', () => {
  const played = play(policy, { ...limits, maxFailures: 5 }, { ...fleet, failureRate: 1 }, seeded(2), during);
  assert.match(played.braked?.reason ?? '', /6 hosts failed/);
  const last = played.samples.at(-1);
  assert.ok(last && last.updated === 0 && last.failed <= 40, 'only canaries');
});

test('reboots happen in the window only', () => {
  const window = { start: 120, length: 60 };
  const { samples, finishedAt } = play(policy, { ...limits, maxInFlight: 2000 }, { ...fleet, window }, seeded(3), {
    ...during,
    sampleEvery: 1,
  });
  assert.ok(finishedAt !== undefined);
  for (const { at, rebooting } of samples)
    if (rebooting > 0) assert.ok(at % 1440 >= 120 && at % 1440 < 182, `minute ${at}`);
});

test('hosts behind a barrier run it on the way, which takes them longer', () => {
  const old = { ...fleet, groups: [{ name: 'rest', share: 1, running: step(1) }] };
  const far = { ...policy, release: step(3), canaries: { groups: [], soakMs: 0 }, ramp: { durationMs: 0, steps: 0 } };
  const open = { ...limits, maxInFlight: 2000 };
  const straight = play(far, open, old, seeded(4), during).finishedAt ?? 0;
  const round =
    play({ ...far, barriers: [{ ...step(2), reason: 'migration' }] }, open, old, seeded(4), during).finishedAt ?? 0;
  assert.equal(round - straight, 30 + 5 + 2);
});

test('whatever the fleet and the policy, every host is in one place and the limits hold in every minute', () => {
  const anyFleet = fc.record({
    hosts: fc.integer({ min: 1, max: 300 }),
    poll: fc.integer({ min: 1, max: 60 }),
    install: fc.integer({ min: 1, max: 30 }),
    reboot: fc.integer({ min: 1, max: 10 }),
    failureRate: fc.double({ min: 0, max: 1, noNaN: true }),
    lock: fc.integer({ min: 1, max: 20 }),
  });
  const anyLimits = fc.record({
    maxInFlight: fc.integer({ min: 1, max: 50 }),
    maxFailures: fc.nat(20),
    patienceMs: fc.integer({ min: 1, max: 3000 }).map((minutes) => minutes * MINUTE),
  });
  fc.assert(
    fc.property(anyFleet, anyLimits, fc.nat(), (some, bounds, seed) => {
      const played = play(policy, bounds, { ...some, groups }, seeded(seed), { minutes: 5000, sampleEvery: 7 });
      assert.ok(played.mostInFlight <= bounds.maxInFlight && played.mostRebooting <= some.lock);
      let before = 0;
      for (const { waiting, inFlight, updated, failed } of played.samples) {
        for (const count of [waiting, inFlight, failed]) assert.ok(count >= 0);
        assert.equal(waiting + inFlight + updated + failed, some.hosts);
        assert.ok(updated >= before);
        before = updated;
        if (failed > bounds.maxFailures) assert.ok(played.braked);
      }
    }),
    { numRuns: 60 },
  );
});
