/** Random rollouts, played by the real agent's judgement against the real server, and by the simulator: all are held to one plain model. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FAULTS } from '../../src/model.ts';
import { seeded } from '../../src/rollout/dice.ts';
import type { Offered } from '../../src/rollout/roll-call.ts';
import { play } from '../../src/rollout/simulate.ts';
import { createFleet, type Fleet } from '../../src/server/fleet/fleet.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { PlainRollout, type Terms, versionOf } from '../support/plain-rollout.ts';
import { type Deed, type GivenHost, offeredBy, RolloutWorld, type Seen, START } from '../support/rollout-world.ts';

const TIMES = Number(process.env['N'] ?? 1);
const MINUTE = 60_000;
const GROUPS = ['default', 'canary', 'pinned', 'held'];

const anyTerms: fc.Arbitrary<Terms> = fc
  .record({
    release: fc.integer({ min: 4, max: 9 }),
    barriers: fc.uniqueArray(fc.integer({ min: 2, max: 8 }), { maxLength: 3 }),
    deadEnds: fc.oneof(fc.constant([]), fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 2 })),
    pin: fc.option(fc.integer({ min: 1, max: 10 })),
    holds: fc.boolean(),
    hasCanaries: fc.boolean(),
    start: fc.nat(30),
    soak: fc.nat(60),
    duration: fc.nat(120),
    inFlight: fc.integer({ min: 1, max: 6 }),
    failures: fc.nat(3),
    patience: fc.integer({ min: 1, max: 400 }),
  })
  .map(({ pin, holds, hasCanaries, ...all }) => ({
    ...all,
    barriers: all.barriers.filter((one) => one < all.release).toSorted((one, other) => one - other),
    pins: pin === null ? {} : { pinned: pin },
    held: holds ? ['held'] : [],
    canaries: hasCanaries ? ['canary'] : [],
    start: START + all.start * MINUTE,
    soak: all.soak * MINUTE,
    duration: all.duration * MINUTE,
    patience: all.patience * MINUTE,
  }));

const anyHosts = fc.array(
  fc.record({
    group: fc.oneof({ weight: 3, arbitrary: fc.constant('default') }, fc.constantFrom(...GROUPS)),
    running: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.integer({ min: 1, max: 10 })),
    isUnfit: fc.oneof({ weight: 12, arbitrary: fc.constant(false) }, fc.constant(true)),
  }),
  { minLength: 3, maxLength: 10 },
);

const host = fc.nat(9);
const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('poll' as const),
      host,
      net: fc.oneof(
        { weight: 8, arbitrary: fc.constant('whole' as const) },
        fc.constantFrom('request lost' as const, 'answer lost' as const),
      ),
    }),
  },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('go on' as const), host }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('fail' as const), host, fault: fc.constantFrom(...FAULTS) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('let in' as const), host }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('let all in' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('give up' as const), host }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('by hand' as const), host, release: fc.integer({ min: 1, max: 10 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('pause', 'resume', 'resume', 'pull', 'release', 'release') }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('wait' as const), minutes: fc.integer({ min: 1, max: 60 }) }) },
);

type Sabotage = (fleet: Fleet) => Fleet;

/** What was seen of the game; fails where the server is not as the model has it. */
async function played(
  terms: Terms,
  hosts: readonly GivenHost[],
  deeds: readonly Deed[],
  sabotage: Sabotage = (fleet) => fleet,
): Promise<Seen> {
  await using store = sqliteStore(openDatabase(':memory:', { durable: false }));
  const fleetOf = (offered: () => Offered): Fleet =>
    sabotage(createFleet(store, async () => ({ id: 'one', version: 'one', offered: offered() })));
  const world = new RolloutWorld(terms, hosts, fleetOf);
  for (const deed of deeds) await world.play(deed);
  return world.seen;
}

const anyGame = [anyTerms, anyHosts, fc.array(anyDeed, { minLength: 60, maxLength: 250, size: 'max' })] as const;

test('agent and server play any rollout as the plain model does, and after the brake nobody new begins', async (t) => {
  const total: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(...anyGame, async (terms, hosts, deeds) => {
      for (const [what, times] of Object.entries(await played(terms, hosts, deeds)))
        total[what] = (total[what] ?? 0) + times;
    }),
    { numRuns: 250 * TIMES },
  );
  t.diagnostic(JSON.stringify(total));
  for (const [what, times] of Object.entries(total)) assert.ok(times > 20, `hardly ever: ${what}`);
});

test('the simulator plays any rollout as the plain model does', async (t) => {
  let calls = 0;
  let brakes = 0;
  let [hindered, released, readmitted] = [0, 0, 0];
  const anyFleet = fc.record({
    hosts: fc.integer({ min: 1, max: 60 }),
    poll: fc.integer({ min: 1, max: 60 }),
    install: fc.integer({ min: 1, max: 30 }),
    reboot: fc.integer({ min: 1, max: 10 }),
    failureRate: fc.double({ min: 0, max: 0.5, noNaN: true }),
    hindranceRate: fc.double({ min: 0, max: 0.3, noNaN: true }),
    releases: fc.option(fc.integer({ min: 1, max: 500 })),
  });
  fc.assert(
    fc.property(
      anyTerms,
      anyFleet,
      fc.integer({ min: 1, max: 9 }),
      fc.nat(),
      (terms, { releases, ...fleet }, running, seed) => {
        const model = new PlainRollout(terms);
        const { policy, limits } = offeredBy(terms, false);
        const step = { version: versionOf(running), counter: running };
        const groups = GROUPS.map((name) => ({ name, share: 1 / GROUPS.length, running: step }));
        const { samples, braked } = play(
          policy,
          limits,
          { ...fleet, groups, ...(releases === null ? {} : { releaseAfter: releases }) },
          seeded(seed),
          {
            minutes: 5000,
            sampleEvery: 60,
            heard: (at, caller, answer) => {
              calls += 1;
              const now = terms.start + at * MINUTE;
              model.pass(now);
              const { machine, group, confirmed, idle, wants, ended } = caller;
              const host = { id: machine, group, running: parseInt(caller.running.version, 10), confirmed };
              const call = {
                idle,
                ...(wants === undefined ? {} : { wants: parseInt(wants, 10) }),
                ...(ended
                  ? { ended: { release: parseInt(ended.version, 10), how: ended.result, fault: ended.fault } }
                  : {}),
              };
              const again = model.again.has(machine);
              const wasBraked = model.braked !== 'no';
              const begun = model.underWay.map(({ id }) => id);
              assert.equal(answer.go ? 'go' : answer.code, model.call(host, call, now));
              if (wasBraked)
                for (const { id } of model.underWay) assert.ok(begun.includes(id), 'one begins after the brake');
              if (ended?.fault === 'surroundings') hindered += 1;
              if (again && answer.go && wants !== undefined) readmitted += 1;
            },
            released: (at) => {
              model.pass(terms.start + at * MINUTE);
              assert.equal(model.braked, 'by failures');
              model.release();
              released += 1;
            },
          },
        );
        model.pass(terms.start + (samples.at(-1)?.at ?? 0) * MINUTE);
        const last = samples.at(-1);
        assert.deepEqual([last?.failed, last?.inFlight], [model.failed.length, model.underWay.length]);
        assert.equal(braked !== undefined, model.braked === 'by failures');
        if (braked) brakes += 1;
      },
    ),
    { numRuns: 250 * TIMES },
  );
  t.diagnostic(JSON.stringify({ calls, brakes, hindered, released, readmitted }));
  for (const times of [calls, brakes, hindered, released, readmitted]) assert.ok(times > 5);
});

/** Faults that a server may have; each must be noticed. */
const SABOTAGES: Readonly<Record<string, Sabotage>> = {
  'lets everybody begin once the brake is pulled': (fleet) => ({
    ...fleet,
    checkIn: async (request, now) => {
      const answer = await fleet.checkIn(request, now);
      return !answer.go && answer.code === 'braked' ? { schema: 1, go: true } : answer;
    },
  }),
  'takes whatever runs on the way for a success': (fleet) => ({
    ...fleet,
    checkIn: ({ outcome: _, ...request }, now) => fleet.checkIn(request, now),
  }),
  'stops hosts that are under way': (fleet) => ({
    ...fleet,
    checkIn: async (request, now) => {
      const answer = await fleet.checkIn(request, now);
      const { braked } = await fleet.ledger(request.channel, now);
      const isUnderWay = request.wants !== undefined && braked !== undefined && answer.go;
      return isUnderWay ? { schema: 1, go: false, code: 'braked', reason: braked.reason } : answer;
    },
  }),
  'holds it against the release that a disk was full': (fleet) => ({
    ...fleet,
    checkIn: ({ outcome, ...request }, now) => {
      const blamed = outcome?.fault === 'surroundings' ? { ...outcome, fault: 'release' as const } : outcome;
      return fleet.checkIn({ ...request, ...(blamed ? { outcome: blamed } : {}) }, now);
    },
  }),
  'lets nobody in again': (fleet) => ({ ...fleet, readmit: async () => 0 }),
  'lets all in where one was meant': (fleet) => ({ ...fleet, readmit: (channel) => fleet.readmit(channel, undefined) }),
  'never tells a machine that it is let in': (fleet) => ({
    ...fleet,
    checkIn: async (request, now) => {
      const answer = await fleet.checkIn(request, now);
      return answer.go ? { schema: 1, go: true } : answer;
    },
  }),
  'gives a place to machines that refuse the release': (fleet) => ({
    ...fleet,
    checkIn: ({ refuses, ...request }, now) =>
      fleet.checkIn({ ...request, ...(refuses === undefined ? {} : { wants: refuses }) }, now),
  }),
  'forgets its brake': (fleet) => ({
    ...fleet,
    checkIn: async (request, now) => {
      await fleet.releaseBrake(request.channel);
      return fleet.checkIn(request, now);
    },
  }),
};

for (const [what, sabotage] of Object.entries(SABOTAGES))
  test(`a server that ${what} is noticed`, async () => {
    const { failed } = await fc.check(
      fc.asyncProperty(...anyGame, async (terms, hosts, deeds) => void (await played(terms, hosts, deeds, sabotage))),
      { numRuns: 250, endOnFailure: true, seed: 1 },
    );
    assert.ok(failed);
  });
