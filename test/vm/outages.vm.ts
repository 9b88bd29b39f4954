/** Scenario: by each way of restarting, starts that lose their power end in the old system. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, cut, statusOf, UPDATE_MS, update } from './guest.ts';
import { inLab } from './lab.ts';
import { restartBy, startsOf } from './methods.ts';

const TRIES = 2;

test('a release under which the power fails at every try is tried once more, and then refused, whichever way it was started first', () =>
  inLab('outages', { method: 'soft', tries: TRIES }, async (lab) => {
    const { machine } = lab;
    for (const method of ['soft', 'kexec', 'firmware'] as const) {
      await restartBy(machine, method, '2');
      const { boots } = machine;
      let ready = await update(lab, '2');
      // What was lost before counts, so only the first one is repeated: by itself, at the first look after the start.
      const rounds = method === 'soft' ? 2 : 1;
      for (let round = 1; round <= rounds; round += 1) {
        if (round > 1) ready = await machine.awaitReady(UPDATE_MS);
        for (let tries = 1; tries <= TRIES; tries += 1) {
          assert.deepEqual(
            [ready.slot, ready.version],
            ['b', '2'],
            `round ${round}, try ${tries}, the first by ${method}`,
          );
          ready = await cut(machine);
        }
        assert.deepEqual([ready.slot, ready.version], ['a', '1']);
      }
      await assertSettled(machine, ready, 'a', '1');
      assert.equal(machine.boots, boots + rounds * (startsOf(TRIES, method) + 1), 'its tries and the old system');
      const [refusal] = (await statusOf(machine)).refused;
      assert.deepEqual([refusal?.version, refusal?.code], ['2', 'trial-lost']);
    }
  }));
