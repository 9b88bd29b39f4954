/** What an operator may ask of the agent, on a whole simulated host. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hold } from '../../src/agent/find/releases.ts';
import { UpdateError } from '../../src/errors.ts';
import { freshStorage, liveUntilRest, makeUpdate } from '../support/simulated-host.ts';

const update = await makeUpdate('good');

async function updated() {
  const storage = freshStorage();
  assert.equal((await liveUntilRest(storage, update)).running?.version, '2');
  return storage;
}

test('a rollback starts the other slot on trial, and the release that was left is not installed again', async () => {
  const storage = await updated();
  const end = await liveUntilRest(storage, update, (view) => view.rollback());
  assert.equal(end.running?.version, '1');
  assert.equal(end.confirmed, true);
  assert.deepEqual(
    end.refused.map((one) => [one.version, one.code]),
    [['2', 'rolled-back-by-hand']],
  );
  assert.match(end.lastCheck?.result ?? '', /refused/);
});

for (const end of ['is answered', 'fails'])
  test(`what an operator asks during a check that ${end} is done after it`, async () => {
    let during: (() => Promise<unknown>) | undefined;
    const held = (): Hold => {
      const deed = during;
      during = undefined;
      void deed?.();
      if (deed && end === 'fails') throw new UpdateError('server-unreachable');
      return { result: 'hold', code: 'paused', reason: 'of an operator' };
    };
    const { running } = await liveUntilRest(freshStorage(), { ...update, held }, async (view) => {
      during = () => view.install({ version: '2' });
      await view.check();
    });
    assert.equal(running?.version, '2');
  });

test('a refusal that is forgotten lets the next check install the release again', async () => {
  const storage = await updated();
  await liveUntilRest(storage, update, (view) => view.rollback());
  const forgotten = await liveUntilRest(storage, update, async (view) => {
    await view.forget({ version: '2' });
    await view.check();
  });
  assert.equal(forgotten.running?.version, '2');
  assert.deepEqual(forgotten.refused, []);
});

test('a rollback survives a power cut at every operation: the machine runs one of the two, confirmed', async () => {
  const storage = await updated();
  const from = storage.log.length;
  await liveUntilRest(storage, update, (view) => view.rollback());
  for (const { world, count } of storage.crashStates(3, 2, from)) {
    const end = await liveUntilRest(world, update);
    assert.equal(end.confirmed, true, world.describe(count));
    assert.ok(end.running?.version === '1' || end.running?.version === '2');
  }
});

test('a rollback into a slot that is damaged is refused before anything changes', async () => {
  const storage = await updated();
  await storage.disk.write(64 * 1024 + 5 * 4096, new Uint8Array(4096));
  await assert.rejects(
    liveUntilRest(storage, update, (view) => view.rollback()),
    { code: 'no-way-back' },
  );
});

test('there is nothing to go back to, to apply or to forget on a fresh host', async () => {
  const sick = await makeUpdate('unhealthy');
  await liveUntilRest(freshStorage(), sick, async (view) => {
    await assert.rejects(view.rollback(), { code: 'no-way-back' });
    await assert.rejects(view.apply(), { code: 'nothing-staged' });
    await assert.rejects(view.forget({ version: '9' }), { code: 'nothing-refused' });
  });
});
