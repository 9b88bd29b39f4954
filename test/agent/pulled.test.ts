/** A whole simulated host whose channel changes its mind while a release is written, or is not there any more. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hold } from '../../src/agent/find/releases.ts';
import { UpdateError } from '../../src/errors.ts';
import type { Version } from '../../src/model.ts';
import { freshStorage, liveUntilRest, makeUpdate, type Update } from '../support/simulated-host.ts';

const hold = (code: string, more: Partial<Hold> = {}): Hold => ({
  result: 'hold',
  code,
  reason: 'of an operator',
  ...more,
});
/** Version 2, offered until it has been written; from then on the channel answers this. */
async function pulled(then: () => Hold): Promise<Update> {
  const update = await makeUpdate('good');
  return { ...update, held: () => (update.tiers.length > 0 ? then() : undefined) };
}
const away = (): never => {
  throw new UpdateError('server-unreachable', 'updates.example: connection refused.');
};

for (const code of ['paused', 'braked', 'group-held', 'pinned', 'dead-end'])
  test(`a release that is ${code} while it is written is given up, and not started`, async () => {
    const end = await liveUntilRest(freshStorage(), await pulled(() => hold(code)));
    assert.deepEqual([end.running?.version, end.state.kind, end.marker], ['1', 'idle', undefined]);
    assert.equal(end.lastError?.code, code);
    assert.deepEqual(end.refused, []);
  });

test('a release that is superseded while it is written is given up, though the newer one is for others first', async () => {
  const step = { version: '3' as Version, counter: 3 };
  const end = await liveUntilRest(freshStorage(), await pulled(() => hold('not-your-turn', { step })));
  assert.deepEqual([end.running?.version, end.state.kind], ['1', 'idle']);
  assert.match(end.lastError?.message ?? '', /the channel now offers 3/);
});

test('a release whose turn is put off while it is written waits for it, by name', async () => {
  const step = { version: '2' as Version, counter: 2 };
  const end = await liveUntilRest(freshStorage(), await pulled(() => hold('not-your-turn', { step })));
  assert.deepEqual([end.running?.version, end.state.kind], ['1', 'staged']);
  assert.deepEqual(
    end.gates?.map((one) => one.code),
    ['offer-held'],
  );
});

test('a release waits, by name and with a time, while the repository cannot be asked whether it is still on offer', async () => {
  const end = await liveUntilRest(freshStorage(), await pulled(away));
  assert.deepEqual([end.running?.version, end.state.kind, end.marker], ['1', 'staged', undefined]);
  const [gate, ...others] = end.gates ?? [];
  assert.deepEqual([gate?.code, gate?.command, others], ['offer-unknown', 'updatectl apply', []]);
  assert.equal(gate?.next, end.nextCheck);
  assert.equal(end.lastError?.code, 'server-unreachable');
});

test('what an operator has named is started, whatever the channel says meanwhile and wherever it is', async () => {
  let asked = 0;
  const awayOnce = () => (asked++ === 0 ? away() : undefined);
  for (const then of [awayOnce, () => hold('paused')]) {
    const update = { ...(await makeUpdate('good')), held: () => (update.tiers.length > 0 ? then() : hold('paused')) };
    const end = await liveUntilRest(freshStorage(), update, (view) => view.install({ version: '2' }));
    assert.deepEqual([end.running?.version, end.confirmed], ['2', true]);
  }
});
