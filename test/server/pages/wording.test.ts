/** What the pages say of machines, limits and axes in the cases at the edge. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MachineRecord } from '../../../src/server/fleet/machines.ts';
import { planChart } from '../../../src/server/pages/chart.ts';
import { rolloutCard, stageOf, standstill } from '../../../src/server/pages/rollout-card.ts';
import type { Shown } from '../../../src/server/pages/rollout-progress.ts';
import { STYLE } from '../../../src/server/pages/style.ts';
import { shares, stateBadge } from '../../../src/server/pages/wording.ts';

const NOW = new Date('2030-01-01T12:00:00Z');

const machine = (change: object): Pick<MachineRecord, 'state' | 'outcome' | 'running'> =>
  ({ state: 'idle', running: { version: '1.0' }, ...change }) as MachineRecord;

test('a machine that rests after a failed attempt is not shown as well, until it runs that release', () => {
  const outcome = { at: NOW.toISOString(), result: 'rolled-back', version: '2.0' };
  assert.match(stateBadge(machine({ outcome })).html, /badge warn.*idle, rolled-back/);
  assert.match(stateBadge(machine({})).html, /badge good/);
  assert.match(stateBadge(machine({ outcome, running: { version: '2.0' } })).html, /badge good/);
  assert.match(stateBadge(machine({ outcome: { ...outcome, result: 'updated' } })).html, /badge good/);
  assert.match(stateBadge(machine({ state: 'staging', outcome })).html, /badge busy/);
});

const card = (limits: object): string => {
  const offered = {
    limits,
    policy: { start: 0, groups: new Map(), canaries: { groups: [] }, ramp: { durationMs: 1 } },
  };
  const ledger = { inFlight: new Map(), failed: new Map(), updated: 0 };
  return rolloutCard({ channel: 'stable', state: { version: '2.0', offered }, ledger } as unknown as Shown, NOW).html;
};

test('a rollout without limits says that it has none, and no sentence is made of a limit that is not there', () => {
  const none = card({ maxInFlight: Number.POSITIVE_INFINITY, maxFailures: Number.POSITIVE_INFINITY });
  assert.match(none, /with no limit/);
  assert.match(none, /the rollout has no brake/);
  assert.doesNotMatch(none, /Infinity|more than no|most no/);
  const bounded = card({ maxInFlight: 5, maxFailures: 0 });
  assert.match(bounded, /of at most 5/);
  assert.match(bounded, /more than 0 pulls the brake/);
});

test('an axis names every level once, whether there is no machine or one or many', () => {
  const levels = (most: number): string[] =>
    [
      ...planChart(
        [
          [0, 0],
          [1, most],
        ],
        [],
        most,
        'a plan',
      ).html.matchAll(/text-anchor="end">([^<]*)</g),
    ]
      .map(([, text = '']) => text)
      .filter((text) => /^\d/.test(text) && !text.includes(':'));
  for (const [most, expected] of [
    [0, ['0']],
    [1, ['0', '1']],
    [2, ['0', '1', '2']],
    [10, ['0', '5', '10']],
  ] as const)
    assert.deepEqual(levels(most), expected);
});

test('the shares of a whole never add up to more, and are within one of what they are', () => {
  assert.deepEqual(shares([1, 1, 1]), ['34 %', '33 %', '33 %']);
  assert.deepEqual(shares([505, 495]), ['51 %', '49 %']);
  assert.deepEqual(shares([995, 5]), ['99 %', '< 1 %']);
  assert.deepEqual(
    [shares([7, 0]), shares([0, 0])],
    [
      ['100 %', '0 %'],
      ['0 %', '0 %'],
    ],
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(5), fc.nat(100_000)), { minLength: 1, maxLength: 12 }), (parts) => {
      const whole = parts.reduce((sum, part) => sum + part, 0);
      const said = shares(parts).map((text) => (text === '< 1 %' ? 0 : Number.parseInt(text, 10)));
      assert.ok(said.reduce((sum, one) => sum + one, 0) <= 100, String(said));
      for (const [at, part] of parts.entries())
        assert.ok(whole === 0 || Math.abs((said[at] ?? 0) - (part / whole) * 100) < 1.0001, `${part}: ${said[at]}`);
    }),
  );
});

/** From 0 (red) around to 360. */
function hueOf(colour: string): number {
  const [red = 0, green = 0, blue = 0] = (colour.match(/[0-9a-f]{2}/g) ?? []).map((one) => Number.parseInt(one, 16));
  const [most, span] = [Math.max(red, green, blue), Math.max(red, green, blue) - Math.min(red, green, blue)];
  if (most === red) return (((green - blue) / span) * 60 + 360) % 360;
  return most === green ? ((blue - red) / span) * 60 + 120 : ((red - green) / span) * 60 + 240;
}

test('no version is drawn in the red of an alarm, in light or in dark', () => {
  for (const colours of STYLE.split('@media (prefers-color-scheme: dark)').slice(0, 2)) {
    const value = (name: string): string => new RegExp(`--${name}: (#[0-9a-f]{6})`).exec(colours)?.[1] ?? '';
    for (let at = 0; at < 8; at += 1) {
      const apart = Math.abs(hueOf(value(`c${at}`)) - hueOf(value('bad')));
      assert.ok(Math.min(apart, 360 - apart) > 22, `--c${at} ${value(`c${at}`)} beside ${value('bad')}`);
    }
  }
});

const shown = (policy: object, braked?: object): Shown =>
  ({
    channel: 'stable',
    state: {
      version: '2.0',
      offered: { limits: {}, policy: { start: 0, groups: new Map(), canaries: { groups: [] }, ramp: {}, ...policy } },
    },
    ledger: { inFlight: new Map(), failed: new Map(), updated: 0, ...(braked ? { braked } : {}) },
  }) as unknown as Shown;

test('a pause that the server has signed is no pause any more once it is resumed, and one of an operator is', () => {
  const ours = { pause: { since: 0, reason: 'the fleet server: 3 hosts failed' } };
  const theirs = { pause: { since: 0, reason: 'lunch' } };
  assert.match(standstill(shown(ours), NOW)?.html ?? '', /is resumed/);
  assert.doesNotMatch(standstill(shown(ours), NOW)?.html ?? '', /paused in its signed document|No machine starts/);
  assert.match(stageOf(shown(ours), NOW).html, /resuming/);
  assert.match(standstill(shown(ours, { at: 0, reason: '3 hosts failed' }), NOW)?.html ?? '', /is stopped/);
  assert.match(standstill(shown(theirs), NOW)?.html ?? '', /paused in its signed document/);
});
