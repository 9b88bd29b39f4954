/** Any windows and black-outs, around the edges of any zone: what they say of a moment agrees with what they say of the next. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createCalendar, type Span, WEEKDAYS } from '../../../src/reboot/gates/windows.ts';
import { openZone } from '../../../src/reboot/gates/zone.ts';
import { span } from '../../support/span.ts';

const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia', 'Etc/UTC', 'Asia/Kathmandu'];
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const time = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }))
  .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'));
const anySpan = fc
  .record({
    zone: fc.constantFrom(...ZONES),
    days: fc.option(fc.subarray([...WEEKDAYS], { minLength: 1 }), { nil: undefined }),
    dates: fc.option(fc.constantFrom(['03-29', '10-25'], ['2026-11-01'], ['04-05', '10-04']), { nil: undefined }),
    cron: fc.option(fc.constantFrom('0 2 * * 6', '*/50 1-3 * * *', '30 2 1-7 * *'), { nil: undefined, freq: 4 }),
    start: time,
    minutes: fc.integer({ min: 1, max: 3 * 1440 }),
    spreadMinutes: fc.integer({ min: 0, max: 600 }),
  })
  .map((one) => span({ ...one, spreadMinutes: Math.min(one.spreadMinutes, one.minutes - 1) }));
/** Around the edges of all those zones. */
const moment = fc
  .tuple(
    fc.constantFrom('2026-03-29', '2026-10-25', '2026-03-08', '2026-11-01', '2026-04-05', '2026-10-04', '2011-12-30'),
    fc.integer({ min: -4 * 24 * 60, max: 4 * 24 * 60 }),
  )
  .map(([day, minutes]) => new Date(Date.parse(`${day}T00:00:00Z`) + minutes * MINUTE));

test('the next opening is open, and nothing before it is', () => {
  fc.assert(
    fc.property(
      fc.array(anySpan, { maxLength: 3 }),
      fc.array(anySpan, { maxLength: 2 }),
      moment,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { minLength: 8, maxLength: 8 }),
      (windows, blackOuts, from, samples) => {
        const calendar = createCalendar(windows, blackOuts, 'machine');
        const next = calendar.nextOpening(from);
        if (!next) return;
        assert.equal(calendar.verdict(next).ok, true);
        const ahead = next.getTime() - from.getTime();
        assert.ok(ahead >= 0);
        const before = [...samples.map((one) => one * ahead), ahead - 1].filter((one) => one >= 0 && one < ahead);
        for (const offset of before)
          assert.equal(calendar.verdict(new Date(from.getTime() + Math.floor(offset))).ok, false);
      },
    ),
    { numRuns: 60 },
  );
});

test('a window never opens in a black-out, and it is open until it says that it closes', () => {
  fc.assert(
    fc.property(
      fc.array(anySpan, { minLength: 1, maxLength: 2 }),
      anySpan,
      moment,
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      (windows, black, from, sample) => {
        const calendar = createCalendar(windows, [black], 'machine');
        const next = calendar.nextOpening(from);
        if (!next) return;
        const closing = calendar.closing(next)?.getTime();
        if (closing === undefined) return;
        const inside = new Date(next.getTime() + Math.floor((closing - next.getTime()) * sample));
        assert.equal(calendar.verdict(inside).ok, true);
        assert.equal(calendar.verdict(new Date(closing)).ok, false);
        const blackOnly = createCalendar([{ ...black, spreadMinutes: 0 }], [], undefined);
        assert.equal(blackOnly.verdict(inside).ok, false);
      },
    ),
    { numRuns: 60 },
  );
});

test('what the clocks show and when they first show it agree in every zone', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ZONES), moment, (name, at) => {
      const zone = openZone(name);
      const wall = zone.wallOf(at.getTime());
      const first = zone.momentOf(wall);
      // A time that is shown twice is named by its first pass.
      assert.ok(first <= at.getTime() && at.getTime() - first <= HOUR);
      assert.equal(zone.wallOf(first), wall);
      const anything = zone.momentOf(at.getTime());
      assert.ok(zone.wallOf(anything) >= at.getTime());
      assert.ok(zone.wallOf(anything - 1000) < at.getTime());
    }),
    { numRuns: 300 },
  );
});

test('as many windows and black-outs as can be written are answered, however unlucky they are', () => {
  const many = (one: Partial<Span>) =>
    Array.from({ length: 64 }, () => span({ zone: 'Europe/Berlin', minutes: 1, ...one }));
  const calendar = createCalendar(many({}), many({ cron: '* * * * *' }), undefined);
  const verdict = calendar.verdict(new Date('2026-11-23T12:00:00Z'));
  assert.deepEqual([verdict.ok, !verdict.ok && verdict.next], [false, undefined]);
});
