/** Work in batches: in order, once, never two at a time, never too much at once. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inBatches } from '../../../src/server/store/batches.ts';

test('every job runs once and in its order, one batch at a time, none heavier than allowed unless it is one job', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 }),
      fc.func(fc.boolean()),
      async (weights, waits) => {
        const batches: number[][] = [];
        let under = 0;
        await new Promise<void>((done) => {
          const give = inBatches<number>(
            10,
            (at) => weights[at] ?? 0,
            async (jobs) => {
              assert.equal(++under, 1);
              batches.push([...jobs]);
              await Promise.resolve();
              under--;
              if (jobs.includes(weights.length - 1)) done();
            },
          );
          const giveAll = async (): Promise<void> => {
            for (const at of weights.keys()) {
              if (waits(at)) await Promise.resolve();
              give(at);
            }
          };
          void giveAll();
        });
        assert.deepEqual(batches.flat(), [...weights.keys()]);
        for (const batch of batches) {
          const weight = batch.reduce((sum, at) => sum + (weights[at] ?? 0), 0);
          assert.ok(weight <= 10 || batch.length === 1);
        }
      },
    ),
  );
});

test('a job that comes when all is done is done too', async () => {
  const ran: string[] = [];
  const give = inBatches<string>(
    10,
    () => 1,
    async (jobs) => void ran.push(...jobs),
  );
  give('a');
  await new Promise(setImmediate);
  give('b');
  await new Promise(setImmediate);
  assert.deepEqual(ran, ['a', 'b']);
});
