/** The semaphore: how many, who next, what failures cost; under every order of events. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  begin,
  giveBack,
  isRefusal,
  release,
  type Semaphore,
  setMax,
  take,
} from '../../../src/reboot/gates/locks/semaphore.ts';
import { oneLine, readSemaphore, writeSemaphore } from '../../../src/reboot/gates/locks/semaphore-document.ts';
import { Fleet, memberOf, NOW } from '../../support/lock-model.ts';

const HOSTS = 8;
const host = fc.nat({ max: HOSTS - 1 });
const failed = { ok: false, since: NOW, why: 'unhealthy' } as const;

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('take' as const), host }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('begin' as const), host }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('give-back' as const), host }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), host }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('die' as const), host }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('late' as const), host }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), host }) },
);

function play(fleet: Fleet, { do: verb, host: index }: { do: string; host: number }): void {
  if (verb === 'take') fleet.take(index);
  else if (verb === 'begin') fleet.begin(index);
  else if (verb === 'give-back') fleet.giveBack(index, { ok: true });
  else if (verb === 'fail') fleet.giveBack(index, failed);
  else if (verb === 'die') fleet.die(index);
  else if (verb === 'late') fleet.late.add(memberOf(index).id);
  else fleet.release(index);
}

test('whatever happens in whatever order, never more hosts reboot than the lock allows', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.nat({ max: 3 }),
      fc.array(step, { maxLength: 120 }),
      (max, budget, steps) => {
        const fleet = new Fleet(max, budget);
        for (const one of steps) {
          play(fleet, one);
          assert.ok(fleet.rebooting.size <= max, `${fleet.rebooting.size} of ${max} after ${JSON.stringify(one)}`);
        }
      },
    ),
    { numRuns: 400 },
  );
});

test('a smaller size takes the lock from nobody, and nobody else is granted it until enough have given it back', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(step, fc.record({ do: fc.constant('size'), host })), { maxLength: 120 }), (steps) => {
      const fleet = new Fleet(4, 1000);
      for (const one of steps) {
        const counted = (): number => fleet.document.holders.filter(({ id }) => fleet.isHolder(id)).length;
        const [before, rebooted] = [counted(), fleet.rebooting.size];
        if (one.do !== 'size') {
          play(fleet, one);
          assert.ok(counted() <= Math.max(before, fleet.document.max), JSON.stringify(one));
          continue;
        }
        fleet.setMax(one.host);
        assert.deepEqual([counted(), fleet.rebooting.size], [before, rebooted]);
      }
    }),
    { numRuns: 200 },
  );
});

test('every verb may be repeated: the second time changes nothing', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const fleet = new Fleet(2, 3);
      for (const one of steps) {
        play(fleet, one);
        const once = JSON.stringify([fleet.document, fleet.queue, [...fleet.rebooting].sort()]);
        play(fleet, one);
        assert.equal(
          JSON.stringify([fleet.document, fleet.queue, [...fleet.rebooting].sort()]),
          once,
          JSON.stringify(one),
        );
      }
    }),
    { numRuns: 200 },
  );
});

test('nobody starves: with the queue kept, the n-th host that asked is among the first n that are granted the lock, in any order of asking again', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...Array(HOSTS).keys()], { minLength: HOSTS }),
      fc.integer({ min: 1, max: 3 }),
      fc.infiniteStream(fc.shuffledSubarray([...Array(HOSTS).keys()], { minLength: HOSTS })),
      (first, max, orders) => {
        const fleet = new Fleet(max, 0);
        const served: number[] = [];
        // The lock is busy while the queue forms.
        for (let other = 0; other < max; other++) assert.ok(fleet.take(100 + other) && fleet.begin(100 + other));
        for (const index of first) assert.equal(fleet.take(index), false);
        for (let other = 0; other < max; other++) fleet.giveBack(100 + other, { ok: true });
        for (let round = 0; round < HOSTS && served.length < HOSTS; round++) {
          const order: readonly number[] = orders.next().value;
          const granted = order.filter((index) => !served.includes(index) && fleet.take(index));
          for (const index of granted) {
            assert.ok(first.indexOf(index) < served.length + max, 'out of turn');
            assert.ok(fleet.begin(index));
          }
          for (const index of granted) fleet.giveBack(index, { ok: true });
          served.push(...granted);
        }
        assert.equal(served.length, HOSTS);
      },
    ),
    { numRuns: 200 },
  );
});

test('a host that dies in front of the queue or with the lock not yet used holds nobody up', () => {
  const fleet = new Fleet(1, 0);
  assert.ok(fleet.take(1));
  assert.equal(fleet.take(2), false);
  assert.equal(fleet.take(3), false);
  fleet.die(1);
  fleet.die(2);
  assert.ok(fleet.take(3));
  assert.equal(fleet.begin(1), false, 'the dead host must not believe that it may reboot');
});

test('already mine comes before full, before turn and before failures', () => {
  const fleet = new Fleet(1, 0);
  assert.ok(fleet.take(1) && fleet.begin(1));
  fleet.take(2);
  fleet.late.add(memberOf(1).id);
  fleet.setMax(0);
  assert.ok(fleet.take(1));
  assert.ok(fleet.begin(1));
});

const askAs = (index: number, hardware = '') => ({
  ...memberOf(index, hardware),
  since: NOW,
  why: 'x',
  deadlineSeconds: 60,
});
const nobody = { gone: () => false, late: () => false, ahead: 0 };
const codeOf = (result: ReturnType<typeof take>): string => (isRefusal(result) ? result.code : 'granted');
const held = (document: Semaphore, ...hosts: number[]): Semaphore =>
  hosts.reduce((before, index) => {
    const next = take(before, askAs(index), nobody);
    if (isRefusal(next)) throw new Error(next.reason);
    return next;
  }, document);

const SIZE_TWO: Semaphore = { schema: 1, max: 2, maxFailures: 0, holders: [], failures: [] };

test('an overdue holder keeps its place and counts as a failure: nobody goes on', () => {
  const document = begin(held(SIZE_TWO, 1), memberOf(1), NOW, nobody) ?? SIZE_TWO;
  const late = { ...nobody, late: () => true };
  const result = take(document, askAs(2), late);
  assert.equal(codeOf(result), 'lock-failures');
  assert.match(
    isRefusal(result) ? result.reason : '',
    /^host-1 \(since 2026-11-23T07:00:00.000Z\) failed or did not come back/,
  );
  assert.equal(codeOf(take({ ...document, maxFailures: 1 }, askAs(2), late)), 'granted');
});

test('with as many failures as are put up with the lock is granted, with one more it is not, until the host succeeds or is released', () => {
  const one = giveBack(held({ ...SIZE_TWO, maxFailures: 1 }, 1), memberOf(1), failed);
  assert.equal(codeOf(take(one, askAs(9), nobody)), 'granted');
  const two = giveBack(held(one, 2), memberOf(2), failed);
  assert.equal(codeOf(take(two, askAs(9), nobody)), 'lock-failures');
  assert.equal(codeOf(take(giveBack(two, memberOf(1), { ok: true }), askAs(9), nobody)), 'granted');
  assert.equal(codeOf(take(release(two, 'host-2') ?? two, askAs(9), nobody)), 'granted');
  assert.equal(
    codeOf(take(giveBack(two, memberOf(1)), askAs(9), nobody)),
    'lock-failures',
    'no attempt proves nothing',
  );
});

test('a host that failed may try again itself', () => {
  const document = giveBack(held(SIZE_TWO, 1), memberOf(1), failed);
  assert.equal(codeOf(take(document, askAs(1), nobody)), 'granted');
  assert.equal(codeOf(take(document, askAs(2), nobody)), 'lock-failures');
});

test('two machines with one id are told apart by their hardware, in every verb', () => {
  const document = take(SIZE_TWO, askAs(1, 'aa'), nobody);
  assert.ok(!isRefusal(document));
  const clone = memberOf(1, 'bb');
  for (const attempt of [
    () => take(document, askAs(1, 'bb'), nobody),
    () => begin(document, clone, NOW, nobody),
    () => giveBack(document, clone),
  ])
    assert.throws(attempt, { code: 'lock-identity' });
});

test('a release of somebody who is not there is no change', () => {
  assert.equal(release(held(SIZE_TWO, 1), 'host-2'), undefined);
  assert.deepEqual(release(held(SIZE_TWO, 1), memberOf(1).id), SIZE_TWO);
});

test('a size of zero holds everybody, and says so', () => {
  assert.equal(codeOf(take(setMax(SIZE_TWO, 0), askAs(1), nobody)), 'lock-full');
});

const corrupt: Readonly<Record<string, string>> = {
  nothing: '',
  junk: 'hello',
  'a list': '[]',
  'a later schema': '{"schema":2,"max":1,"maxFailures":0,"holders":[],"failures":[]}',
  'another program’s': '{"total_slots":1,"holders":["a"]}',
  'a stored count': '{"schema":1,"max":1,"maxFailures":0,"holders":[],"failures":[],"free":1}',
  'a negative size': '{"schema":1,"max":-1,"maxFailures":0,"holders":[],"failures":[]}',
  'a holder without a name':
    '{"schema":1,"max":1,"maxFailures":0,"failures":[],"holders":[{"id":"1","hardware":"","phase":"waiting","since":"2026-11-23T07:00:00.000Z","why":"x","deadlineSeconds":1}]}',
  'too much': ' '.repeat(1024 * 1024 + 1),
};

for (const [what, text] of Object.entries(corrupt))
  test(`a document that holds ${what} is refused by name`, () => {
    assert.throws(() => readSemaphore(Buffer.from(text), 'the key k in etcd'), {
      code: 'lock-document-invalid',
      message: /the key k in etcd/,
    });
  });

test('any bytes at all are a semaphore or refused by name', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        try {
          readSemaphore(bytes, 'x');
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'lock-document-invalid');
        }
      },
    ),
  );
});

test('a reason of any text can be written down and read again', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (why) => {
      const document = take(SIZE_TWO, { ...askAs(1), why: oneLine(why) }, nobody);
      assert.ok(!isRefusal(document));
      readSemaphore(writeSemaphore(document), 'x');
    }),
  );
});
