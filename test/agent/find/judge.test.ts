/** Which release a host takes: one row a rule. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candidate, type Host, heldBack, judge, type Wish } from '../../../src/agent/find/judge.ts';
import type { Product, Refusal, Release, Sha256, State, Version } from '../../../src/model.ts';
import type { AdmissionCode } from '../../../src/rollout/brake.ts';
import type { HoldCode } from '../../../src/rollout/rollout.ts';

const digest = (letter: string): Sha256 => letter.repeat(64) as Sha256;
const release = (version: string, counter: number, manifest = digest(String(counter))): Release => ({
  product: 'shop' as Product,
  version: version as Version,
  counter,
  manifest,
});
const candidate = (of: Release, rest: Partial<Candidate> = {}): Candidate => ({
  release: of,
  architecture: 'x86-64',
  minAgent: '0.1.0',
  ...rest,
});
const host = (rest: Partial<Host> = {}): Host => ({
  product: 'shop' as Product,
  architecture: 'x86-64',
  agentVersion: '0.1.0',
  running: release('2', 2),
  refusals: [],
  ...rest,
});
const plain: Wish = { named: false, allowDowngrade: false };
const idle: State = { kind: 'idle' };
const staged = (of: Release): State => ({ kind: 'staged', release: of, target: 'b' });
const refused: Refusal = {
  at: '2026-01-01T00:00:00Z',
  version: '3' as Version,
  manifest: digest('3'),
  code: 'unhealthy',
  reason: 'sick',
};

const found = (found: string, of: Release, rest: Partial<Host> = {}, state: State = idle, wish = plain): void => {
  const verdict = judge(candidate(of), host(rest), state, wish);
  assert.equal(verdict.found === 'nothing' ? verdict.code : verdict.found, found);
};

test('a newer release is offered', () => found('offer', release('3', 3)));
test('what is running is not offered again', () => found('up-to-date', release('2', 2)));
test('a system of unknown origin is compared by its version', () =>
  found('up-to-date', release('2', 2), { running: { product: 'shop' as Product, version: '2' as Version } }));
test('an older release is not offered', () => found('downgrade', release('1', 1)));
test('an older release is offered when the operator allows it', () =>
  found('offer', release('1', 1), {}, idle, { named: true, allowDowngrade: true }));
test('the release counter decides what is older, not the version', () => found('offer', release('1.9', 3)));
test('a refused release is not offered again', () => found('refused', release('3', 3), { refusals: [refused] }));
test('a rebuilt release is not the refused one', () =>
  found('offer', release('3', 3, digest('f')), { refusals: [refused] }));
test('a staged release is not written again', () => found('staged', release('3', 3), {}, staged(release('3', 3))));
test('a newer release replaces the staged one', () => found('offer', release('4', 4), {}, staged(release('3', 3))));
test('a staged release is dropped when the channel goes back', () =>
  found('withdrawn', release('2', 2), {}, staged(release('3', 3))));

test('a staged release is given up when it is refused here, or when the channel goes on to one that is', () => {
  found('withdrawn', release('3', 3), { refusals: [refused] }, staged(release('3', 3)));
  found('withdrawn', release('3', 3), { refusals: [refused] }, staged(release('2.5', 2)));
});
test('an operator who names what is staged answers for it from then on, until the channel is asked for it', () => {
  const byHand: State = { kind: 'staged', release: release('3', 3), target: 'b', byHand: true };
  const of = (state: State, named: boolean) => judge(candidate(release('3', 3)), host(), state, { ...plain, named });
  assert.deepEqual(of(staged(release('3', 3)), true), { found: 'present', release: release('3', 3), byHand: true });
  assert.deepEqual(of(byHand, false), { found: 'present', release: release('3', 3) });
  for (const verdict of [of(byHand, true), of(staged(release('3', 3)), false)])
    assert.equal(verdict.found === 'nothing' && verdict.code, 'staged');
});
test('what an operator has named is marked as that; what the channel offers is not', () => {
  const of = (wish: Wish) => judge(candidate(release('3', 3)), host(), idle, wish);
  assert.deepEqual(of({ named: true, allowDowngrade: false }), {
    found: 'offer',
    release: release('3', 3),
    byHand: true,
  });
  assert.deepEqual(of(plain), { found: 'offer', release: release('3', 3) });
});

test('a release for another host is refused by name', () => {
  const of = (rest: Partial<Candidate>) => () => judge(candidate(release('3', 3), rest), host(), idle, plain);
  assert.throws(of({ release: { ...release('3', 3), product: 'till' as Product } }), { code: 'wrong-product' });
  assert.throws(of({ architecture: 'arm64' }), { code: 'wrong-architecture' });
  assert.throws(of({ minAgent: '0.2.0' }), { code: 'agent-too-old' });
});

test('a hold on the way to another release takes a staged one back: it was superseded', () => {
  const step = { version: '4' as Version, counter: 4 };
  const hold = { result: 'hold', code: 'not-your-turn', reason: 'others first', step } as const;
  assert.equal(heldBack(hold, staged(release('3', 3))).found, 'withdrawn');
  assert.equal(heldBack(hold, staged(release('4', 4))).found, 'nothing');
  assert.equal(heldBack(hold, idle).found, 'nothing');
});

/** Whether it is for good: the others end by themselves. */
const IS_STOP: Readonly<Record<HoldCode | AdmissionCode, boolean>> = {
  paused: true,
  'group-held': true,
  pinned: true,
  'dead-end': true,
  downgrade: true,
  braked: true,
  'not-started': false,
  'canaries-first': false,
  'not-your-turn': false,
  full: false,
  'failed-here': false,
  'not-on-offer': false,
};

for (const [code, isStop] of Object.entries(IS_STOP))
  test(`a hold for ${code} ${isStop ? 'takes a staged release back' : 'lets a staged release wait'}`, () => {
    const reason = 'disk errors';
    const hold = { result: 'hold', code, reason, until: Date.UTC(2030, 0, 1) } as const;
    const nothing = { found: 'nothing', code, reason, until: '2030-01-01T00:00:00.000Z' };
    assert.deepEqual(heldBack(hold, idle), nothing);
    const withdrawn = { found: 'withdrawn', code, reason };
    assert.deepEqual(heldBack(hold, staged(release('3', 3))), isStop ? withdrawn : nothing);
  });
