/** What a rollout says to a host: whatever the policy, it is monotone, fair, and never passes a barrier by. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MachineId, Version } from '../../src/model.ts';
import { shareAt, timeOfShare } from '../../src/rollout/ramp.ts';
import { type GroupRule, type Host, judgeHost, type Rollout, turnStarts } from '../../src/rollout/rollout.ts';
import { turnOf } from '../../src/rollout/turn.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const step = (counter: number) => ({ version: `${counter}.0` as Version, counter });
const machine = (number: number): MachineId => `machine-${number}` as MachineId;

const rollout = (change: Partial<Rollout> = {}): Rollout => ({
  release: step(10),
  start: 0,
  canaries: { groups: ['canary'], soakMs: DAY },
  ramp: { durationMs: 2 * DAY, steps: 0 },
  groups: new Map(),
  barriers: [],
  deadEnds: [],
  urgent: false,
  allowDowngrade: false,
  ...change,
});
const host = (change: Partial<Host> = {}): Host => ({
  machine: machine(1),
  group: 'rest',
  running: step(9),
  ...change,
});
const outcome = (policy: Rollout, one: Host, now: number): string => {
  const verdict = judgeHost(policy, one, now);
  return verdict.result === 'hold' ? verdict.code : verdict.result === 'offer' ? verdict.step.version : 'current';
};

const anyRamp = fc.record({
  durationMs: fc.integer({ min: 0, max: 40 * DAY }),
  steps: fc.integer({ min: 0, max: 50 }),
});
const anyRule: fc.Arbitrary<GroupRule> = fc.record({ delayMs: fc.integer({ min: 0, max: DAY }) }, { requiredKeys: [] });
const anyRollout = fc
  .record({
    start: fc.integer({ min: -DAY, max: DAY }),
    canaries: fc.record({
      groups: fc.subarray(['canary', 'early']),
      soakMs: fc.integer({ min: 0, max: 2 * DAY }),
    }),
    ramp: anyRamp,
    groups: fc
      .dictionary(fc.constantFrom('canary', 'early', 'rest'), anyRule)
      .map((rules) => new Map(Object.entries(rules))),
    barriers: fc
      .uniqueArray(fc.integer({ min: 1, max: 9 }))
      .map((all) =>
        all.toSorted((one, other) => one - other).map((counter) => ({ ...step(counter), reason: 'migration' })),
      ),
    urgent: fc.boolean(),
  })
  .map(rollout);
const anyHost = fc.record({
  machine: fc.integer({ min: 0, max: 1e6 }).map(machine),
  group: fc.constantFrom('canary', 'early', 'rest'),
  running: fc.integer({ min: 1, max: 9 }).map(step),
});

test('the share of a ramp never falls, and each turn begins at the first moment of its share', () => {
  fc.assert(
    fc.property(
      anyRamp,
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.nat(50 * DAY),
      (ramp, turn, at) => {
        assert.ok(shareAt(ramp, at) <= shareAt(ramp, at + 1));
        const begins = timeOfShare(ramp, turn);
        assert.ok(shareAt(ramp, begins) > turn || begins === ramp.durationMs);
        if (begins > 0) assert.ok(shareAt(ramp, begins - 1) <= turn);
      },
    ),
  );
});

test('a host that was offered the release is not told to wait later', () => {
  fc.assert(
    fc.property(anyRollout, anyHost, fc.nat(10 * DAY), fc.nat(10 * DAY), (policy, one, now, later) => {
      if (judgeHost(policy, one, now).result === 'offer')
        assert.equal(judgeHost(policy, one, now + later).result, 'offer');
    }),
  );
});

test('the moment that a hold names is the first at which the release is offered', () => {
  fc.assert(
    fc.property(anyRollout, anyHost, fc.integer({ min: -2 * DAY, max: 60 * DAY }), (policy, one, now) => {
      const verdict = judgeHost(policy, one, now);
      if (verdict.result !== 'hold') return;
      assert.equal(verdict.until, turnStarts(policy, one));
      assert.equal(judgeHost(policy, one, turnStarts(policy, one)).result, 'offer');
      assert.equal(judgeHost(policy, one, turnStarts(policy, one) - 1).result, 'hold');
    }),
  );
});

test('no barrier is passed by: from wherever a host starts, it runs each one on its way, in order', () => {
  fc.assert(
    fc.property(anyRollout, anyHost, (policy, one) => {
      const visited: number[] = [];
      let running = one.running;
      for (let steps = 0; steps < 20 && running.counter !== policy.release.counter; steps += 1) {
        const verdict = judgeHost(policy, { ...one, running }, 100 * DAY);
        assert.ok(verdict.result === 'offer');
        running = verdict.step;
        visited.push(running.counter ?? 0);
      }
      const passed = policy.barriers.map(({ counter }) => counter).filter((counter) => counter > one.running.counter);
      assert.deepEqual(visited, [...passed, policy.release.counter]);
    }),
  );
});

test('in the end every host is offered the release, and none before the start', () => {
  fc.assert(
    fc.property(anyRollout, anyHost, (policy, one) => {
      assert.equal(judgeHost(policy, one, policy.start - 1).result, 'hold');
      assert.equal(judgeHost(policy, one, policy.start + 60 * DAY).result, 'offer');
    }),
  );
});

test('a pause, a held group, a dead end and a pin hold everybody whom they concern, whatever the time', () => {
  const pause = { since: 0, reason: 'disk errors' };
  const held = new Map([['rest', { hold: 'exam week' }]]);
  const pinned = new Map([['rest', { pin: step(9) }]]);
  const deadEnds = [{ version: step(8).version, reason: 'its updater is broken' }];
  fc.assert(
    fc.property(fc.nat(100 * DAY), (now) => {
      assert.equal(outcome(rollout({ pause }), host({ group: 'canary' }), now), 'paused');
      assert.equal(outcome(rollout({ groups: held }), host(), now), 'group-held');
      assert.equal(outcome(rollout({ deadEnds }), host({ running: step(8) }), now), 'dead-end');
      assert.equal(outcome(rollout({ groups: pinned }), host(), now), 'current');
      assert.equal(outcome(rollout({ groups: pinned }), host({ running: step(10) }), now), 'pinned');
      assert.equal(outcome(rollout(), host({ running: step(11) }), now), 'downgrade');
    }),
  );
});

test('a pinned group is brought up to its pin, and past it never', () => {
  const groups = new Map([['rest', { pin: step(9) }]]);
  assert.equal(outcome(rollout({ groups }), host({ running: step(3) }), 90 * DAY), '9.0');
});

test('going back happens only when it was signed as such', () => {
  const back = { running: step(11) };
  assert.equal(outcome(rollout({ allowDowngrade: true }), host(back), 90 * DAY), '10.0');
});

test('canaries have it alone while it soaks, then groups come in the order of their delays', () => {
  const policy = rollout({ ramp: { durationMs: 0, steps: 0 }, groups: new Map([['late', { delayMs: DAY }]]) });
  assert.equal(outcome(policy, host({ group: 'canary' }), 0), '10.0');
  assert.equal(outcome(policy, host(), DAY - 1), 'canaries-first');
  assert.equal(outcome(policy, host(), DAY), '10.0');
  assert.equal(outcome(policy, host({ group: 'late' }), DAY), 'not-your-turn');
  assert.equal(outcome(policy, host({ group: 'late' }), 2 * DAY), '10.0');
});

test('a security fix does not wait for the delays of groups, but it does soak', () => {
  const policy = rollout({
    urgent: true,
    ramp: { durationMs: 0, steps: 0 },
    groups: new Map([['late', { delayMs: 9 * DAY }]]),
  });
  assert.equal(outcome(policy, host({ group: 'late' }), DAY - 1), 'canaries-first');
  assert.equal(outcome(policy, host({ group: 'late' }), DAY), '10.0');
});

test('turns are spread evenly, and each release has another order', () => {
  const count = 20_000;
  const turns = (version: string) => Array.from({ length: count }, (_, at) => turnOf(machine(at), version as Version));
  const [one, other] = [turns('10.0'), turns('11.0')];
  for (let tenth = 0; tenth < 10; tenth += 1) {
    const inside = one.filter((turn) => Math.floor(turn * 10) === tenth).length;
    assert.ok(Math.abs(inside - count / 10) < 5 * Math.sqrt(count / 10), `${inside} in tenth ${tenth}`);
  }
  const earlyTwice = one.filter((turn, at) => turn < 0.1 && (other[at] ?? 1) < 0.1).length;
  assert.ok(Math.abs(earlyTwice - count / 100) < 5 * Math.sqrt(count / 100), `${earlyTwice} are early twice`);
});

test('who waits for its turn is told how far the rollout has come since it began', () => {
  const start = Date.UTC(2030, 0, 1);
  const policy = rollout({ start, canaries: { groups: [], soakMs: 0 } });
  // Among so many some are always last.
  const last = Array.from({ length: 200 }, (_, number) => machine(number)).toSorted(
    (one, other) => turnOf(other, policy.release.version) - turnOf(one, policy.release.version),
  )[0];
  assert.ok(last);
  for (const [hours, share] of [
    [0, 0],
    [12, 25],
    [24, 50],
    [36, 75],
  ] as const) {
    const verdict = judgeHost(policy, host({ machine: last }), start + hours * HOUR);
    assert.ok(verdict.result === 'hold');
    assert.equal(verdict.reason, `it is offered to ${share} % of the hosts so far`);
  }
});
