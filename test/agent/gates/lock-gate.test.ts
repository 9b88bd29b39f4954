/** The fleet's lock between the loop and whoever grants it: asked seldom, owed until it is given back. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lockGate } from '../../../src/agent/gates/lock-gate.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { Outcome, Product, Release } from '../../../src/model.ts';
import type { LockAnswer, LockClient } from '../../../src/reboot/gates/locks/lock-client.ts';
import { silentLog } from '../../../src/system/log.ts';
import { refusalOf } from '../../support/command-line.ts';
import { keptHere, MemoryPlaces, noLock } from '../../support/kept-lock.ts';

const FULL: LockAnswer = {
  ok: false,
  code: 'lock-full',
  reason: 'host-2 (since …) holds the lock',
  askAgainMs: 4_000,
};
const release = { product: 'shop', version: '2' } as unknown as Release;

/** A lock that answers as it is told, under a clock that stands still until it is moved. */
function bench(answer: () => LockAnswer = () => ({ ok: true })) {
  const calls: string[] = [];
  const failing = new Set<string>();
  let ms = 0;
  const clock = { now: () => new Date(ms), monotonicMs: () => ms, sleep: async () => {} };
  const call = (name: string): void => {
    calls.push(name);
    if (failing.has(name)) throw new UpdateError('etcd-unavailable', 'No endpoint of etcd answers.');
  };
  const client: LockClient = {
    countsFailures: false,
    take: async () => {
      call('take');
      return answer();
    },
    begin: async () => call('begin'),
    giveBack: async (ended) => call(ended ? `give back ${ended.failed ?? 'ok'}` : 'give back'),
  };
  const random = { fraction: () => 0.5, bytes: () => new Uint8Array() };
  const product = 'shop' as Product;
  const places = new MemoryPlaces();
  /** The gate of an agent that starts. */
  const next = () => lockGate(keptHere(client, { clock, places }), { product, clock, random, log: silentLog });
  return {
    calls,
    failing,
    next,
    gate: next(),
    pass: (more: number): void => {
      ms += more;
    },
  };
}

test('who only wants to know does not ask for the lock', async () => {
  const { calls, gate } = bench(() => FULL);
  await gate.verdict(false);
  assert.deepEqual(calls, []);
});

test('a refusal is a closed gate that names the holder, and is not asked about again before its time', async () => {
  const { calls, gate, pass } = bench(() => FULL);
  const verdict = await gate.verdict(true);
  assert.deepEqual(verdict.ok ? [] : [verdict.code, verdict.reason, verdict.strength, verdict.next], [
    'lock-full',
    'the lock: host-2 (since …) holds the lock',
    'hard',
    new Date(4_000),
  ]);
  assert.equal(gate.wakeMs(), 4_000);
  pass(3_999);
  await gate.verdict(true);
  assert.deepEqual(calls, ['take']);
  pass(1);
  await gate.verdict(true);
  assert.deepEqual(calls, ['take', 'take']);
});

test('a lock out of reach is a closed gate by name, and the pause grows up to five minutes', async () => {
  const { failing, gate, pass } = bench();
  failing.add('take');
  const pauses: number[] = [];
  for (let round = 0; round < 9; round++) {
    const verdict = await gate.verdict(true);
    assert.equal(verdict.ok ? '' : verdict.code, 'lock-unreachable');
    pauses.push(gate.wakeMs() ?? 0);
    pass(pauses.at(-1) ?? 0);
  }
  assert.deepEqual([pauses[0], pauses[1], pauses.at(-1)], [3_750, 7_500, 225_000]);
  failing.clear();
  assert.deepEqual(await gate.verdict(true), { ok: true });
});

test('the host leaves only with the lock in hand: refused, unreachable or lost at the last moment, it stays', async () => {
  assert.equal(await refusalOf(bench(() => FULL).gate.take()), 'lock-lost');
  for (const verb of ['take', 'begin']) {
    const { failing, gate } = bench();
    failing.add(verb);
    assert.notEqual(await refusalOf(gate.take()), 'none');
  }
  const { calls, gate } = bench();
  await gate.take();
  assert.deepEqual(calls, ['take', 'begin']);
});

const outcomes: readonly (readonly [Outcome, string])[] = [
  [{ result: 'updated', release }, 'give back ok'],
  [
    { result: 'rolled-back', release, code: 'unhealthy', reason: 'no web server', refuse: true },
    'give back no web server',
  ],
];

for (const [outcome, said] of outcomes)
  test(`how an attempt ended is told until somebody hears it, and holds nothing up meanwhile: ${outcome.result}`, async () => {
    const { calls, failing, gate, pass } = bench();
    failing.add(said);
    await gate.giveBack(outcome);
    const { place, ...owed } = gate.owed() ?? {};
    assert.deepEqual(
      [place, owed],
      [
        'http://lock.example/',
        {
          group: 'web',
          since: '1970-01-01T00:00:00.000Z',
          code: 'etcd-unavailable',
          message: 'No endpoint of etcd answers.',
          next: '1970-01-01T00:01:00.000Z',
        },
      ],
    );
    pass(60_000);
    await gate.lookAfter();
    failing.clear();
    pass(60_000);
    await gate.lookAfter();
    assert.deepEqual(calls, [said, said, said]);
    assert.deepEqual([gate.owed(), gate.wakeMs()], [undefined, undefined]);
  });

test('where no attempt was made, a lock out of reach holds nothing up and is given back later', async () => {
  const { calls, failing, gate, pass } = bench();
  failing.add('give back');
  await gate.lookAfter();
  await gate.giveBack({ result: 'none' });
  assert.equal(gate.wakeMs(), 60_000);
  await gate.lookAfter();
  pass(60_000);
  await gate.lookAfter();
  failing.clear();
  pass(60_000);
  await gate.lookAfter();
  assert.equal(gate.wakeMs(), undefined);
  assert.deepEqual(calls, ['give back', 'give back', 'give back']);
});

test('without a lock nothing is held, and what fails is no gate', async () => {
  const clock = { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => {} };
  const random = { fraction: () => 0.5, bytes: () => new Uint8Array() };
  const world = { product: 'shop' as Product, clock, random, log: silentLog };
  const gate = lockGate(noLock, world);
  assert.deepEqual([await gate.verdict(true), await gate.isHeld()], [{ ok: true }, false]);
  const away = () => Promise.reject(new UpdateError('state-unreadable'));
  assert.equal(await refusalOf(lockGate({ ...noLock, take: away }, world).verdict(true)), 'state-unreadable');
});

test('what somebody must see to keeps its name; a lock that could not be given back is still held', async () => {
  const foreign = bench(() => {
    throw new UpdateError('lock-foreign');
  });
  const verdict = await foreign.gate.verdict(true);
  assert.equal(verdict.ok ? '' : verdict.code, 'lock-foreign');
  const { gate, failing } = bench();
  assert.equal(await gate.isHeld(), false);
  await gate.verdict(true);
  assert.equal(await gate.isHeld(), true);
  failing.add('give back');
  await gate.giveBack();
  assert.equal(await gate.isHeld(), true, 'it could not be given back');
  failing.clear();
  await gate.giveBack();
  assert.equal(await gate.isHeld(), false);
});

test('an agent that starts holds what an earlier one took and did not release, until it has an answer of its own', async () => {
  const { calls, gate, next } = bench();
  await gate.verdict(true);
  const second = next();
  assert.equal(await second.isHeld(), true);
  await second.giveBack();
  assert.deepEqual([calls, await second.isHeld()], [['take', 'give back'], false]);
  assert.equal(await next().isHeld(), false);
});

test('an agent that starts and is refused the lock does not hold it', async () => {
  let answer: LockAnswer = { ok: true };
  const { gate, next } = bench(() => answer);
  await gate.verdict(true);
  answer = FULL;
  const second = next();
  await second.verdict(true);
  assert.equal(await second.isHeld(), false);
});
