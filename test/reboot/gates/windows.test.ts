/** Windows and black-outs: the next opening is exact, and clocks that are put forward or back do what is written down. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCalendar, type Span, WEEKDAYS } from '../../../src/reboot/gates/windows.ts';
import { span } from '../../support/span.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const openings = (one: Span, from: string, count: number): string[] => {
  const calendar = createCalendar([one], [], undefined);
  const found: string[] = [];
  for (let at = new Date(from); found.length < count; ) {
    const next = calendar.nextOpening(at);
    assert.ok(next);
    found.push(next.toISOString());
    at = calendar.closing(next) ?? assert.fail();
  }
  return found;
};

/** At both edges of each zone: a start that the clocks jump over, and one that they show twice. */
const EDGES: Readonly<Record<string, readonly [Span, string, readonly string[]]>> = {
  'Berlin, in the gap: at the first moment after it': [
    span({ zone: 'Europe/Berlin', start: '02:30' }),
    '2026-03-27T22:00:00Z',
    ['2026-03-28T01:30:00.000Z', '2026-03-29T01:00:00.000Z', '2026-03-30T00:30:00.000Z'],
  ],
  'Berlin, in the doubled hour: once, at its first pass': [
    span({ zone: 'Europe/Berlin', start: '02:30', minutes: 30 }),
    '2026-10-23T22:00:00Z',
    ['2026-10-24T00:30:00.000Z', '2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z'],
  ],
  'New York, in the gap': [
    span({ zone: 'America/New_York', start: '02:00' }),
    '2026-03-07T22:00:00Z',
    ['2026-03-08T07:00:00.000Z', '2026-03-09T06:00:00.000Z'],
  ],
  'New York, in the doubled hour': [
    span({ zone: 'America/New_York', start: '01:00', minutes: 30 }),
    '2026-10-31T22:00:00Z',
    ['2026-11-01T05:00:00.000Z', '2026-11-02T06:00:00.000Z'],
  ],
  'Lord Howe, in the gap of half an hour': [
    span({ zone: 'Australia/Lord_Howe', start: '02:15', minutes: 30 }),
    '2026-10-02T22:00:00Z',
    ['2026-10-03T15:30:00.000Z', '2026-10-04T15:15:00.000Z'],
  ],
  'Lord Howe, in the doubled half hour': [
    span({ zone: 'Australia/Lord_Howe', start: '01:45', minutes: 10 }),
    '2026-04-03T22:00:00Z',
    ['2026-04-04T14:45:00.000Z', '2026-04-05T15:15:00.000Z'],
  ],
  'Apia, on a day that was left out': [
    span({ zone: 'Pacific/Apia', start: '12:00' }),
    '2011-12-29T00:00:00Z',
    ['2011-12-29T22:00:00.000Z', '2011-12-30T10:00:00.000Z', '2011-12-30T22:00:00.000Z'],
  ],
  'UTC, where nothing happens': [
    span({ start: '02:30' }),
    '2026-03-28T22:00:00Z',
    ['2026-03-29T02:30:00.000Z', '2026-03-30T02:30:00.000Z'],
  ],
};

for (const [name, [one, from, expected]] of Object.entries(EDGES))
  test(`a window that starts in ${name}`, () => assert.deepEqual(openings(one, from, expected.length), expected));

test('a window lasts as long as it is said to, whatever the clocks do meanwhile', () => {
  for (const from of ['2026-03-28T12:00:00Z', '2026-10-24T12:00:00Z']) {
    const calendar = createCalendar([span({ zone: 'Europe/Berlin', start: '01:00', minutes: 240 })], [], undefined);
    const opening = calendar.nextOpening(new Date(from)) ?? assert.fail();
    assert.equal((calendar.closing(opening)?.getTime() ?? 0) - opening.getTime(), 4 * HOUR);
  }
});

test('a window across midnight belongs to the day on which it starts', () => {
  const one = span({ zone: 'Europe/Berlin', days: ['fri'], start: '23:00', minutes: 180 });
  const calendar = createCalendar([one], [], undefined);
  assert.equal(calendar.verdict(new Date('2026-03-07T00:30:00Z')).ok, true);
  assert.equal(calendar.verdict(new Date('2026-03-07T01:00:00Z')).ok, false);
  assert.equal(calendar.verdict(new Date('2026-03-06T00:30:00Z')).ok, false);
});

test('a window is open, and a black-out closed, on each of the days that it names and on no other', () => {
  for (let set = 1; set < 2 ** WEEKDAYS.length; set++) {
    const days = WEEKDAYS.filter((_, index) => set & (1 << index));
    const one = span({ days, start: '10:00', minutes: 60 });
    const [window, blackOut] = [createCalendar([one], [], undefined), createCalendar([], [one], undefined)];
    // The first of March 2026 is a Sunday.
    for (const [index, day] of [...WEEKDAYS, ...WEEKDAYS].entries()) {
      const at = (time: string): Date => new Date(Date.parse(`2026-03-01T${time}Z`) + index * 24 * HOUR);
      assert.equal(window.verdict(at('10:30:00')).ok, days.includes(day), `${days} on ${day}`);
      assert.equal(blackOut.verdict(at('10:30:00')).ok, !days.includes(day), `${days} on ${day}`);
      assert.equal(window.verdict(at('09:59:59')).ok || window.verdict(at('11:00:00')).ok, false);
    }
  }
});

test('several windows and black-outs: open in any of the ones and in none of the others', () => {
  const early = span({ days: ['sat', 'sun'], start: '01:00', minutes: 60 });
  const late = span({ days: ['sun'], start: '03:00', minutes: 60 });
  const off = [span({ dates: ['03-08'], start: '03:20', minutes: 10 }), span({ dates: ['03-07'], minutes: 1440 })];
  const calendar = createCalendar([early, late], off, undefined);
  const open: string[] = [];
  for (let at = Date.parse('2026-03-06T00:00:00Z'); at < Date.parse('2026-03-10T00:00:00Z'); at += 10 * MINUTE)
    if (calendar.verdict(new Date(at)).ok) open.push(new Date(at).toISOString().slice(5, 16));
  const ten = (hour: string, ...minutes: number[]): string[] => minutes.map((one) => `03-08T${hour}:${one || '00'}`);
  assert.deepEqual(open, [...ten('01', 0, 10, 20, 30, 40, 50), ...ten('03', 0, 10, 30, 40, 50)]);
  assert.equal(calendar.closing(new Date('2026-03-08T03:05:00Z'))?.toISOString(), '2026-03-08T03:20:00.000Z');
  assert.equal(calendar.nextOpening(new Date('2026-03-08T03:25:00Z'))?.toISOString(), '2026-03-08T03:30:00.000Z');
});

test('cron and dates name days and times in the zone of the window', () => {
  const cron = span({ zone: 'America/New_York', cron: '30 1,4 * * 6' });
  const saturdays = ['2026-06-06T05:30:00.000Z', '2026-06-06T08:30:00.000Z', '2026-06-13T05:30:00.000Z'];
  assert.deepEqual(openings(cron, '2026-06-03T00:00:00Z', 3), saturdays);
  const yearly = span({ dates: ['02-29'], minutes: 60 });
  assert.deepEqual(openings(yearly, '2096-03-01T00:00:00Z', 1), ['2104-02-29T00:00:00.000Z']);
  assert.equal(
    createCalendar([span({ dates: ['2020-01-01'] })], [], undefined).nextOpening(new Date('2026-01-01')),
    undefined,
  );
});

test('without a window it is open but for the black-outs, and those are hard', () => {
  const calendar = createCalendar([], [span({ name: 'xmas', dates: ['12-24'], minutes: 3 * 1440 })], undefined);
  assert.equal(calendar.verdict(new Date('2026-06-01')).ok, true);
  assert.equal(calendar.closing(new Date('2026-06-01'))?.toISOString(), '2026-12-24T00:00:00.000Z');
  assert.equal(createCalendar([], [], undefined).closing(new Date('2026-06-01')), undefined);
  const verdict = calendar.verdict(new Date('2026-12-25T10:00:00Z'));
  assert.ok(!verdict.ok);
  assert.deepEqual(
    [verdict.code, verdict.strength, verdict.next?.toISOString()],
    ['black-out', 'hard', '2026-12-27T00:00:00.000Z'],
  );
});

test('each host opens at its own moment, always the same, and a fleet is spread over the window', () => {
  const one = span({ start: '02:00', minutes: 240, spreadMinutes: 120 });
  const opening = (machine: string): number =>
    createCalendar([one], [], machine).nextOpening(new Date('2026-01-01T00:00:00Z'))?.getTime() ?? 0;
  const moments = Array.from({ length: 200 }, (_, index) => opening(`machine ${index}`));
  assert.deepEqual(
    moments,
    moments.map((_, index) => opening(`machine ${index}`)),
  );
  const from = Date.parse('2026-01-01T02:00:00Z');
  assert.ok(moments.every((moment) => moment >= from && moment < from + 2 * HOUR));
  assert.ok(new Set(moments).size > 60);
});

test('the moment of a host is another in each of its windows, and another host’s is, too', () => {
  const minute = (more: Partial<Span>, machine = 'm'): number => {
    const one = span({ start: '02:00', minutes: 600, spreadMinutes: 500, ...more });
    const at = createCalendar([one], [], machine).nextOpening(new Date('2026-01-01T00:00:00Z'))?.getTime() ?? 0;
    return (at - Date.parse(`2026-01-01T${one.start}:00Z`)) / MINUTE;
  };
  const same = minute({});
  assert.equal(minute({}), same);
  for (const other of [minute({ name: 'days' }), minute({ zone: 'UTC' }), minute({ start: '02:01' }), minute({}, 'n')])
    assert.notEqual(other, same);
});

test('a closed gate says which window it waits for and what opens it at once', () => {
  const soft = { ok: false, code: 'window-closed', strength: 'soft', command: '`updatectl apply`' };
  const at = new Date('2026-01-01T12:00:00Z');
  const verdict = (...windows: Span[]) => createCalendar(windows, [], undefined).verdict(at);
  const next = new Date('2026-01-02T00:00:00Z');
  assert.deepEqual(verdict(span({})), { ...soft, reason: 'the maintenance window “nights” is not open', next });
  assert.deepEqual(verdict(span({}), span({ start: '13:00' })), {
    ...soft,
    reason: 'no maintenance window is open',
    next: new Date('2026-01-01T13:00:00Z'),
  });
  assert.deepEqual(verdict(span({ dates: ['2020-01-01'] })), {
    ...soft,
    reason: 'the maintenance window “nights” is not open',
  });
});

test('windows that touch are one, and one without an end never closes', () => {
  const half = (hour: number, minutes = 720): Span =>
    span({ name: `${hour}`, start: `${hour}:00`.padStart(5, '0'), minutes });
  const closing = (...windows: Span[]): string | undefined =>
    createCalendar(windows, [], undefined).closing(new Date('2026-01-01T03:00:00Z'))?.toISOString();
  assert.equal(closing(half(2, 120), half(4, 60)), '2026-01-01T05:00:00.000Z');
  assert.equal(closing(half(2, 120), half(3, 30)), '2026-01-01T04:00:00.000Z');
  assert.equal(closing(half(0), half(12)), undefined);
});

test('a window at every minute of a day that hardly ever comes opens when that day does, and not after it', () => {
  const leap = span({ cron: '* * 29 2 *', zone: 'Pacific/Apia', minutes: 1 });
  const calendar = createCalendar([leap], [], undefined);
  const opensAfter = (from: string): string | undefined => calendar.nextOpening(new Date(from))?.toISOString();
  assert.equal(opensAfter('2026-11-23T12:00:00Z'), '2028-02-28T11:00:00.000Z');
  assert.equal(opensAfter('2028-02-29T10:59:30Z'), '2028-02-29T10:59:30.000Z');
  assert.equal(opensAfter('2028-02-29T11:00:00Z'), '2032-02-28T11:00:00.000Z');
});
