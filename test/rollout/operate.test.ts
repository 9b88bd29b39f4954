/** What operators do to a rollout: each deed gives the right next document, with a line of history, or says why it cannot be done. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MachineId, Version } from '../../src/model.ts';
import { policyOf } from '../../src/rollout/document.ts';
import { aborted, type Draft, type Offer, paused, resumed, started } from '../../src/rollout/operate.ts';
import { turnStarts } from '../../src/rollout/rollout.ts';

const HOUR = 3_600_000;
const at = (hour: number): Date => new Date(Date.UTC(2030, 0, 1) + hour * HOUR);
const time = (hour: number): string => `${at(hour).toISOString().slice(0, 19)}Z`;
const step = (counter: number) => ({ version: `${counter}.0` as Version, counter });
const draft = (hour: number, more: Partial<Draft> = {}): Draft => ({
  start: time(hour),
  ramp: { minutes: 600, steps: 0 },
  ...more,
});

/** Release 2, begun at hour 0 in a channel that offered release 1. */
const running = (): Offer => ({
  step: step(2),
  rollout: started(draft(0), step(2), { step: step(1), rollout: undefined }, at(0)),
});
const then = (offer: Offer, deed: (offer: Offer) => Offer['rollout']): Offer => ({ ...offer, rollout: deed(offer) });
const whatHappened = ({ rollout }: Offer) => rollout?.history?.map(({ at, what, reason }) => [at, what, reason]);
const lastLine = (rollout: Offer['rollout']) => rollout?.history?.at(-1);

test('a rollout that is started remembers what the channel offered before', () => {
  const { rollout } = running();
  assert.deepEqual(rollout, {
    schema: 1,
    ...draft(0),
    before: step(1),
    history: [{ at: time(0), what: 'started', version: '2.0' }],
  });
});

test('the first rollout of a channel has nothing to go back to', () => {
  assert.equal(started(draft(0), step(1), undefined, at(0)).before, undefined);
});

test('a rollout that is changed goes on with the same release, and still remembers what was before it', () => {
  const rollout = started(draft(0, { urgent: true }), step(2), running(), at(5));
  assert.deepEqual([rollout.before, rollout.urgent, rollout.ramp], [step(1), true, draft(0).ramp]);
  assert.deepEqual(whatHappened({ step: step(2), rollout }), [
    [time(0), 'started', undefined],
    [time(5), 'changed', undefined],
  ]);
});

test('a rollout of a release that everybody is offered already is a change, and has nothing to go back to', () => {
  const rollout = started(draft(0), step(2), { step: step(2), rollout: undefined }, at(0));
  assert.deepEqual([rollout.before, lastLine(rollout)?.what], [undefined, 'changed']);
});

test('the next release goes back to the one whose rollout it ends, and the history goes on', () => {
  const rollout = started(draft(9), step(3), running(), at(9));
  assert.deepEqual(rollout.before, step(2));
  assert.deepEqual(
    rollout.history?.map(({ what, version }) => [what, version]),
    [
      ['started', '2.0'],
      ['started', '3.0'],
    ],
  );
});

test('a pause says since when and why, in the document and in its history', () => {
  const offer = then(running(), (one) => paused(one, 'disks fail', at(3)));
  assert.deepEqual(offer.rollout?.pause, { since: time(3), reason: 'disks fail' });
  assert.deepEqual(lastLine(offer.rollout), { at: time(3), what: 'paused', version: '2.0', reason: 'disks fail' });
  assert.equal(offer.rollout?.start, time(0));
});

test('the ramp goes on where it stood, however long the pause: nobody’s turn comes sooner, or is waited for longer', () => {
  const machine = 'machine-7' as MachineId;
  const startsOf = ({ rollout, step }: Offer): number =>
    turnStarts(policyOf(rollout ?? assert.fail(), step), { machine, group: 'rest' });
  let offer = running();
  const turn = startsOf(offer);
  for (const [from, until] of [
    [4, 7],
    [9, 10],
    [30, 80],
  ] as const) {
    const before = startsOf(offer);
    offer = then(
      then(offer, (one) => paused(one, 'wait', at(from))),
      (one) => resumed(one, at(until)),
    );
    assert.equal(startsOf(offer) - before, (until - from) * HOUR);
  }
  assert.equal(startsOf(offer), turn + 54 * HOUR);
  assert.equal(offer.rollout?.start, time(54));
  assert.equal(offer.rollout?.pause, undefined);
  assert.deepEqual(lastLine(offer.rollout), { at: time(80), what: 'resumed', version: '2.0' });
});

test('of a pause before the rollout begins only the part after its start is not caught up', () => {
  const later = { step: step(2), rollout: started(draft(10), step(2), undefined, at(0)) };
  const resume = (from: number, until: number) =>
    resumed(
      then(later, (one) => paused(one, 'wait', at(from))),
      at(until),
    ).start;
  assert.equal(resume(2, 5), time(10));
  assert.equal(resume(2, 13), time(13));
  assert.equal(resume(12, 13), time(11));
});

test('a clock that went back during the pause does not take time away', () => {
  assert.equal(
    resumed(
      then(running(), (one) => paused(one, 'wait', at(9))),
      at(8),
    ).start,
    time(0),
  );
});

test('an abort goes back to what was before, begins at once, keeps the history and none of the policy', () => {
  const offer = then(running(), (one) => paused(one, 'bad', at(3)));
  assert.deepEqual(aborted(offer, 'really bad', false, at(5)), {
    step: step(1),
    rollout: {
      schema: 1,
      start: time(5),
      history: [
        { at: time(0), what: 'started', version: '2.0' },
        { at: time(3), what: 'paused', version: '2.0', reason: 'bad' },
        { at: time(5), what: 'aborted', version: '2.0', reason: 'really bad' },
      ],
    },
  });
  assert.equal(aborted(offer, 'x', true, at(5)).rollout.allowDowngrade, true);
});

const bare: Offer = { step: step(2), rollout: undefined };
const onPause = then(running(), (one) => paused(one, 'disks fail', at(3)));
const REFUSED: readonly (readonly [what: string, deed: () => unknown, why: RegExp])[] = [
  ['a second pause', () => paused(onPause, 'again', at(4)), /already paused: disks fail\./],
  ['going on without a pause', () => resumed(running(), at(4)), /is not paused/],
  ['a pause where there is no rollout', () => paused(bare, 'x', at(4)), /2\.0 is offered to all hosts/],
  ['going on where there is no rollout', () => resumed(bare, at(4)), /2\.0 is offered to all hosts/],
  ['an abort where there is no rollout', () => aborted(bare, 'x', false, at(4)), /2\.0 is offered to all hosts/],
  [
    'an abort with nothing to go back to',
    () => aborted({ step: step(1), rollout: started(draft(0), step(1), undefined, at(0)) }, 'x', false, at(4)),
    /nothing before/,
  ],
];

for (const [what, deed, why] of REFUSED)
  test(`${what} is refused with the reason`, () => assert.throws(deed, { code: 'rollout-state', message: why }));

test('the last hundred lines of history are kept', () => {
  let offer = running();
  for (let hour = 1; hour <= 100; hour++)
    offer = then(offer, (one) => (one.rollout?.pause ? resumed(one, at(hour)) : paused(one, 'x', at(hour))));
  assert.equal(offer.rollout?.history?.length, 100);
  assert.deepEqual(offer.rollout?.history?.[0], { at: time(1), what: 'paused', version: '2.0', reason: 'x' });
  assert.equal(lastLine(offer.rollout)?.what, 'resumed');
});
