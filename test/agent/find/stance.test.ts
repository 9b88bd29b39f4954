/** What a host tells the fleet server of a release that it is offered: a place is asked for only by who will take it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgive, type StanceWorld, stanceOf } from '../../../src/agent/find/stance.ts';
import type { HistoryEntry, Product, Refusal, Release, State, Version } from '../../../src/model.ts';

const release = (counter: number): Release => ({
  product: 'shop' as Product,
  version: `${counter}.0` as Version,
  counter,
});
const offered = (counter: number, change: object = {}) =>
  ({
    trusted: { release: release(counter), architecture: 'x86-64', minAgent: '0.1.0', ...change },
    allowDowngrade: false,
  }) as unknown as Parameters<typeof stanceOf>[1];
const fall = (version: string, result: HistoryEntry['result'] = 'rolled-back'): HistoryEntry => ({
  at: '2030-01-01T00:00:00.000Z',
  version: version as Version,
  result,
});

function world(
  refused: readonly string[],
  history: readonly HistoryEntry[] = [],
): StanceWorld & { refused: Refusal[] } {
  const known = refused.map((version) => ({ at: '', version: version as Version, code: 'x', reason: 'x' }));
  return {
    refused: known,
    host: { product: 'shop' as Product, architecture: 'x86-64', agentVersion: '0.5.0' },
    journal: {
      refusals: async () => known,
      forget: async (version) => {
        const at = known.findIndex((one) => one.version === version);
        return at < 0 ? 0 : known.splice(at, 1).length;
      },
      history: async () => history,
    },
  };
}

const IDLE: State = { kind: 'idle' };
const staged = (counter: number): State => ({ kind: 'staged', release: release(counter), target: 'b' });

test('a host wants what it would begin or has staged, and names what it refuses', async () => {
  const stance = (...all: [StanceWorld, Parameters<typeof stanceOf>[1], number, State]) =>
    stanceOf(all[0], all[1], release(all[2]), all[3]);
  assert.deepEqual(await stance(world([]), offered(2), 1, IDLE), { wants: '2.0' });
  assert.deepEqual(await stance(world([]), offered(2), 1, staged(2)), { wants: '2.0' });
  assert.deepEqual(await stance(world(['2.0']), offered(2), 1, IDLE), { refuses: '2.0' });
  assert.deepEqual(await stance(world(['2.0']), offered(2), 1, staged(2)), { refuses: '2.0' });
  assert.deepEqual(await stance(world(['2.0']), offered(3), 1, IDLE), { wants: '3.0' });
});

test('a host asks for no place for what it runs, for an older release, or for one that is for another machine', async () => {
  for (const [what, running] of [
    [offered(2), 2],
    [offered(2), 3],
    [offered(2, { architecture: 'riscv64' }), 1],
    [offered(2, { minAgent: '9.0.0' }), 1],
  ] as const)
    for (const state of [IDLE, staged(1)])
      assert.deepEqual(await stanceOf(world([]), what, release(running), state), {}, JSON.stringify([what, running]));
});

test('a refusal is forgotten at the word of a server until the release has taken the host down three times', async () => {
  const falls = (many: number) => Array.from({ length: many }, () => fall('2.0'));
  for (const [history, isHeeded] of [
    [[], true],
    [falls(2), true],
    [[...falls(2), fall('1.0'), fall('2.0', 'failed'), fall('2.0', 'updated')], true],
    [falls(3), false],
    [falls(7), false],
  ] as const) {
    const here = world(['2.0', '1.5'], history);
    assert.equal(await forgive(here, release(2)), isHeeded, `${history.length}`);
    assert.equal(
      here.refused.some(({ version }) => version === '2.0'),
      !isHeeded,
    );
    assert.ok(here.refused.some(({ version }) => version === '1.5'));
  }
  assert.equal(await forgive(world([]), release(2)), false);
});
