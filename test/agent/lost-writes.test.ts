/** The whole agent on a disk that loses what was not synced: it always starts again, and finishes without help. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Behaviour, freshStorage, liveUntilRest, makeUpdate, type Update } from '../support/simulated-host.ts';

const LOSSES = 2;

async function finish(storage: ReturnType<typeof freshStorage>, update: Update): Promise<void> {
  const end = await liveUntilRest(storage, update);
  assert.equal(end.running?.version, update.behaviour === 'good' ? '2' : '1');
  assert.equal(end.confirmed, true, 'rests on an unconfirmed slot');
  assert.equal(end.marker, undefined, 'the dead man’s switch was left on');
  assert.equal(end.refused.length, update.behaviour === 'good' ? 0 : 1);
}

for (const behaviour of ['good', 'unbootable', 'unhealthy'] satisfies Behaviour[])
  test(`a release that is ${behaviour} ends as it should after a power cut at every operation, with and without lost writes`, async (context) => {
    const update = await makeUpdate(behaviour);
    const whole = freshStorage();
    await finish(whole, update);
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
