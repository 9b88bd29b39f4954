/** What the pages say of machines, limits and axes in the cases at the edge. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MachineRecord } from '../../../src/server/machines.ts';
import { planChart } from '../../../src/server/pages/chart.ts';
import { rolloutCard } from '../../../src/server/pages/rollout-card.ts';
import type { Shown } from '../../../src/server/pages/rollout-progress.ts';
import { stateBadge } from '../../../src/server/pages/wording.ts';

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
  assert.match(none, /the rollout sets no limit/);
  assert.match(none, /the rollout has no brake/);
  assert.doesNotMatch(none, /Infinity|more than no|most no/);
  const bounded = card({ maxInFlight: 5, maxFailures: 0 });
  assert.match(bounded, /of at most 5/);
  assert.match(bounded, /more than 0 pull the brake/);
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
