/** The whole agent on a disk that loses what was not synced: it always starts again, and finishes without help. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Behaviour,
  freshStorage,
  liveUntilRest,
  makeDeltaUpdate,
  makeUpdate,
  type Update,
} from '../support/simulated-host.ts';

const LOSSES = 2;

async function finish(storage: ReturnType<typeof freshStorage>, update: Update): Promise<void> {
  const end = await liveUntilRest(storage, update);
  assert.equal(end.running?.version, update.behaviour === 'good' ? '2' : '1');
  assert.equal(end.confirmed, true, 'rests on an unconfirmed slot');
  assert.equal(end.marker, undefined, 'the dead man’s switch was left on');
  assert.equal(end.refused.length, update.behaviour === 'good' ? 0 : 1);
}

const UPDATES: Readonly<Record<string, () => Promise<Update>>> = {
  ...Object.fromEntries(
    (['good', 'unbootable', 'unhealthy'] satisfies Behaviour[]).map((one) => [`that is ${one}`, () => makeUpdate(one)]),
  ),
  'that comes as a patch': () => makeDeltaUpdate('good', 'patch'),
  'that comes block by block': () => makeDeltaUpdate('good', 'blocks'),
};

for (const [name, make] of Object.entries(UPDATES))
  test(`a release ${name} ends as it should after a power cut at every operation, with and without lost writes`, async (context) => {
    const update = await make();
    const whole = freshStorage();
    await finish(whole, update);
    assert.equal(update.tiers[0], update.deltas?.[0]?.delta.kind ?? 'full');
    let cuts = 0;
    for (const { world, count, seed } of whole.crashStates(1, LOSSES)) {
      cuts++;
      await finish(world, update).catch((error: Error) => {
        throw new Error(`cut after ${count} operations, losses ${seed}: ${error.message}\n${whole.describe(count)}`, {
          cause: error,
        });
      });
    }
    context.diagnostic(`${cuts} power cuts over ${whole.log.length} operations`);
  });
