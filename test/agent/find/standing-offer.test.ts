/** What is staged is started only while somebody still answers for it: the channel, a moment ago, or an operator. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStandingOffer } from '../../../src/agent/find/standing-offer.ts';
import type { Found } from '../../../src/agent/loop/parts.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { Product, Release, Sha256, State, Version } from '../../../src/model.ts';

const release = (manifest: string): Release => ({
  product: 'shop' as Product,
  version: '2.0' as Version,
  manifest: manifest.repeat(64) as Sha256,
});
const MINUTE = 60_000;
const RELEASE = release('a');
const STAGED: State = { kind: 'staged', release: RELEASE, target: 'b' };
const said = (code: string, reason = 'there is a reason'): Found => ({ found: 'nothing', code, reason });
const AWAY = new UpdateError('server-unreachable', 'updates.example: connection refused.');
const NEXT = new Date('2026-03-01T13:00:00Z');

/** An offer under two clocks that are moved by hand. */
function bench() {
  let ms = 0;
  let wall = Date.parse('2026-03-01T12:00:00Z');
  const offer = createStandingOffer({ now: () => new Date(wall), monotonicMs: () => ms }, () => NEXT);
  const pass = (awake: number, asleep = 0): void => {
    ms += awake;
    wall += awake + asleep;
  };
  return { ...offer, pass };
}

test('before the channel was asked nothing is known, and nothing objects: it has to be asked', () => {
  const { isFresh, objection } = bench();
  assert.deepEqual([isFresh(STAGED, false), objection(STAGED, false)], [false, undefined]);
  assert.equal(isFresh(STAGED, true), false, 'an operator who applies does not know that it was pulled either');
});

for (const [state, isGood] of [
  [{ ...STAGED }, true],
  [{ ...STAGED, release: release('b') }, false],
] as const)
  test(`an answer is good for ${isGood ? 'the release' : 'no other build of the same version than that'} of which it was given`, () => {
    const { answered, isFresh } = bench();
    answered(RELEASE, said('staged'));
    assert.equal(isFresh(state, false), isGood);
  });

test('an answer is good for five minutes, by both clocks: a machine that slept asks anew, and so does one whose clock was set', () => {
  for (const [awake, asleep, isGood] of [
    [5 * MINUTE - 1, 0, true],
    [5 * MINUTE, 0, false],
    [MINUTE, 4 * MINUTE, false],
    [MINUTE, -60 * MINUTE, false],
  ] as const) {
    const { answered, isFresh, objection, pass } = bench();
    answered(RELEASE, said('staged'));
    pass(awake, asleep);
    assert.deepEqual([isFresh(STAGED, false), objection(STAGED, false)], [isGood, undefined]);
  }
});

test('a release that was pulled and is taken once more has to be asked for, and nothing objects to it', () => {
  const { answered, taken, isFresh, objection } = bench();
  answered(RELEASE, said('paused', 'it breaks hosts'));
  answered(RELEASE, { found: 'offer', release: release('b') });
  taken();
  assert.deepEqual([isFresh(STAGED, false), objection(STAGED, false)], [false, undefined]);
});

test('while the channel cannot be asked a release waits, by name, until the next check', () => {
  const { unanswered, isFresh, objection } = bench();
  unanswered(RELEASE, AWAY);
  assert.equal(isFresh(STAGED, false), false);
  const { code, reason, next, command } = objection(STAGED, false) ?? assert.fail();
  assert.deepEqual([code, next, command], ['offer-unknown', NEXT, 'updatectl apply']);
  assert.match(reason, /2\.0 .* could not be checked \(server-unreachable\)/);
});

test('an operator who applies answers for a release of which nothing can be heard, but it is asked for first', () => {
  const { unanswered, isFresh, objection, pass } = bench();
  unanswered(RELEASE, AWAY);
  assert.deepEqual([isFresh(STAGED, true), objection(STAGED, true)], [true, undefined]);
  pass(5 * MINUTE);
  assert.deepEqual([isFresh(STAGED, true), objection(STAGED, true)], [false, undefined]);
});

test('a hold that ends by itself is waited for, unless an operator applies', () => {
  for (const code of ['not-your-turn', 'canaries-first', 'full', 'not-on-offer', 'of-a-newer-server']) {
    const { answered, isFresh, objection } = bench();
    answered(RELEASE, said(code, 'it is offered to 12 % of hosts so far'));
    assert.deepEqual([isFresh(STAGED, false), isFresh(STAGED, true)], [false, true], code);
    assert.match(objection(STAGED, false)?.reason ?? '', /^2\.0 is held back: it is offered to 12 %/);
  }
});

test('a release that was named by hand, and that the channel offers when it is asked, is on offer', () => {
  const { answered, isFresh, objection } = bench();
  answered(RELEASE, { found: 'present', release: RELEASE });
  assert.deepEqual([isFresh(STAGED, false), objection(STAGED, false)], [true, undefined]);
});

test('a server that has given a host up does not stop it: it has not tried yet', () => {
  const { answered, isFresh } = bench();
  answered(RELEASE, said('failed-here'));
  assert.equal(isFresh(STAGED, false), true);
});

test('what was pulled is not started, not even when that cannot be written down and an operator applies', () => {
  const { answered, unanswered, isFresh, objection } = bench();
  for (const found of [
    { found: 'withdrawn', code: 'paused', reason: 'disk errors' },
    { found: 'offer', release: release('c') },
  ] as const) {
    answered(RELEASE, found);
    unanswered(RELEASE, new UpdateError('state-unwritable', 'no room'));
    assert.equal(isFresh(STAGED, true), false);
    assert.equal(objection(STAGED, true)?.code, 'offer-held');
    assert.equal(objection(STAGED, true)?.command, undefined);
  }
  answered(RELEASE, said('staged'));
  assert.equal(isFresh(STAGED, false), true, 'resumed');
});

test('a release that the repository does not have any more is not started by an operator who applies either', () => {
  for (const code of ['release-unknown', 'channel-unknown'] as const) {
    const { unanswered, isFresh, objection } = bench();
    unanswered(RELEASE, new UpdateError(code, 'gone'));
    assert.deepEqual([isFresh(STAGED, false), isFresh(STAGED, true)], [false, false]);
    assert.match(objection(STAGED, true)?.reason ?? '', /no longer on offer/);
  }
});

test('what an operator has named by hand needs nobody else’s word', () => {
  const { unanswered, isFresh, objection } = bench();
  const byHand: State = { ...STAGED, byHand: true };
  assert.equal(isFresh(byHand, false), true);
  unanswered(RELEASE, AWAY);
  assert.deepEqual([isFresh(byHand, false), objection(byHand, false)], [true, undefined]);
});
