/** What a rollout says to a host: whatever the policy, it is monotone, fair, and never passes a barrier by. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MachineId, Version } from '../../src/model.ts';
import { shareAt, timeOfShare, turnOf } from '../../src/rollout/ramp.ts';
import {
  beginOf,
  type GroupRule,
  goalOf,
  HOLD_CODES,
  type Host,
  isStep,
  judgeHost,
  type Rollout,
  turnStarts,
} from '../../src/rollout/rollout.ts';

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
    assert.equal(verdict.reason, `it is offered to ${share} % of hosts so far`);
  }
});

const MIGRATION = { ...step(4), reason: 'migration' };
const SECOND = { ...step(7), reason: 'another' };
const unknown = (version: number): Host => host({ running: { version: step(version).version } });

test('the way leads over the oldest barrier that a host has not run, which says why', () => {
  const policy = rollout({ barriers: [MIGRATION, SECOND], ramp: { durationMs: 0, steps: 0 } });
  const late = 90 * DAY;
  const offered = (one: Host) => {
    const verdict = judgeHost(policy, one, late);
    return verdict.result === 'offer' ? [verdict.step, verdict.barrier, verdict.urgent] : verdict;
  };
  assert.deepEqual(offered(host({ running: step(1) })), [step(4), 'migration', false]);
  assert.deepEqual(offered(host({ running: step(4) })), [step(7), 'another', false]);
  assert.deepEqual(offered(host({ running: step(6) })), [step(7), 'another', false]);
  assert.deepEqual(offered(host({ running: step(7) })), [step(10), undefined, false]);
  // What runs has no counter: a barrier is known by its version, anything else begins at the first.
  assert.deepEqual(offered(unknown(4)), [step(7), 'another', false]);
  assert.deepEqual(offered(unknown(7)), [step(10), undefined, false]);
  assert.deepEqual(offered(unknown(9)), [step(4), 'migration', false]);
  // A rebuilt barrier, whose version a host runs with a lower counter, is not offered to it again.
  assert.deepEqual(offered(host({ running: { ...step(4), counter: 3 } })), [step(7), 'another', false]);
  assert.deepEqual(
    judgeHost(
      rollout({
        barriers: [step(10), step(12)].map((one) => ({ ...one, reason: 'x' })),
        ramp: { durationMs: 0, steps: 0 },
      }),
      host(),
      late,
    ),
    {
      result: 'offer',
      urgent: false,
      step: step(10),
    },
  );
});

test('a pin holds a group below the release, and one that is not below it says nothing', () => {
  const pinned = (pin: number | { version: Version; counter: number }) =>
    goalOf(rollout({ groups: new Map([['rest', { pin: typeof pin === 'number' ? step(pin) : pin }]]) }), 'rest');
  assert.deepEqual(pinned(9), step(9));
  assert.deepEqual(pinned(11), step(10));
  assert.deepEqual(pinned({ version: 'x' as Version, counter: 10 }), step(10));
  assert.deepEqual(goalOf(rollout(), 'rest'), step(10));
});

test('a release with the counter of what runs is no way back, whatever its version', () => {
  const same = host({ running: { version: 'x' as Version, counter: 10 } });
  assert.equal(outcome(rollout(), same, 90 * DAY), '10.0');
  assert.equal(outcome(rollout(), unknown(11), 90 * DAY), '10.0');
});

test('of a rollout are its release, its barriers and what groups are pinned to, and no other version', () => {
  const policy = rollout({
    barriers: [MIGRATION],
    groups: new Map([
      ['late', { pin: step(8) }],
      ['rest', {}],
    ]),
  });
  const found = [1, 4, 7, 8, 10].filter((counter) => isStep(policy, step(counter).version));
  assert.deepEqual(found, [4, 8, 10]);
});

test('a group begins after the soak, if others are canaries, and after its delay, if it is not urgent', () => {
  const groups = new Map([
    ['late', { delayMs: 5 }],
    ['canary', { delayMs: 3 }],
  ]);
  const begins = (change: Partial<Rollout>) =>
    ['canary', 'late', 'rest'].map((group) => beginOf(rollout({ start: 1000, groups, ...change }), group));
  assert.deepEqual(begins({}), [1003, 1000 + DAY + 5, 1000 + DAY]);
  assert.deepEqual(begins({ urgent: true }), [1000, 1000 + DAY, 1000 + DAY]);
  assert.deepEqual(begins({ canaries: { groups: [], soakMs: DAY } }), [1003, 1005, 1000]);
  assert.equal(turnStarts(rollout({ start: 1000, groups }), { machine: machine(1), group: 'canary' }), 1003);
});

test('each hold says in a sentence why, until when, and what comes then', () => {
  const late = { delayMs: DAY };
  const policy = rollout({
    start: 10,
    ramp: { durationMs: 0, steps: 0 },
    groups: new Map([['late', late]]),
    canaries: { groups: ['canary', 'early'], soakMs: DAY },
  });
  const said = (group: string, now: number, change: Partial<Rollout> = {}) =>
    judgeHost({ ...policy, ...change }, host({ group }), now);
  const until = (at: number) => ({ result: 'hold', until: at, step: step(10) });
  assert.deepEqual(said('canary', 9), { ...until(10), code: 'not-started', reason: 'the rollout has not started' });
  assert.equal(said('canary', 10).result, 'offer');
  const canaries = { code: 'canaries-first', reason: 'the canaries (canary, early) go first' };
  assert.deepEqual(said('rest', 10), { ...until(10 + DAY), ...canaries });
  assert.deepEqual(said('late', 9 + DAY), { ...until(10 + 2 * DAY), ...canaries });
  const later = { code: 'not-your-turn', reason: 'the group late starts later' };
  assert.deepEqual(said('late', 10 + DAY), { ...until(10 + 2 * DAY), ...later });
  assert.equal(said('late', 10 + 2 * DAY).result, 'offer');
  // A canary with a delay of its own comes later, and is not told that it waits for canaries.
  const delayed = said('canary', 11, { groups: new Map([['canary', late]]) });
  assert.deepEqual(delayed, { ...until(10 + DAY), code: 'not-your-turn', reason: 'the group canary starts later' });
  const codes: string[] = ['not-started', 'canaries-first', 'not-your-turn'];
  for (const [change, running, code, reason] of [
    [{ pause: { since: 0, reason: 'disk errors' } }, 9, 'paused', 'the rollout is paused: disk errors'],
    [{ groups: new Map([['rest', { hold: 'exams' }]]) }, 9, 'group-held', 'the group rest is held: exams'],
    [{ deadEnds: [{ version: step(9).version, reason: 'broken' }] }, 9, 'dead-end', '9.0 is a dead end: broken'],
    [{ groups: new Map([['rest', { pin: step(8) }]]) }, 9, 'pinned', 'the group rest is pinned to 8.0'],
    [{}, 11, 'downgrade', '10.0 is older than 11.0, and the downgrade is not signed'],
  ] as const) {
    const verdict = judgeHost({ ...policy, ...change }, host({ running: step(running) }), 90 * DAY);
    assert.deepEqual(verdict, { result: 'hold', code, reason });
    codes.push(code);
  }
  assert.deepEqual(new Set(HOLD_CODES), new Set(codes));
});
