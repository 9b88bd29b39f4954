/** Scenario: by each way of restarting, starts that lose their power end in the old system. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, cut, statusOf, update } from './guest.ts';
import { inLab } from './lab.ts';
import { restartBy, startsOf } from './methods.ts';

const TRIES = 2;

test('a release under which the power fails at every try is left and refused, whichever way it was started first', () =>
  inLab('outages', { method: 'soft', tries: TRIES }, async (lab) => {
    const { machine } = lab;
    for (const method of ['soft', 'kexec', 'firmware'] as const) {
      await restartBy(machine, method, '2');
      const { boots } = machine;
      let ready = await update(lab, '2');
      for (let tries = 1; tries <= TRIES; tries += 1) {
        assert.deepEqual([ready.slot, ready.version], ['b', '2'], `try ${tries}, the first by ${method}`);
        ready = await cut(machine);
      }
      await assertSettled(machine, ready, 'a', '1');
      assert.equal(machine.boots, boots + startsOf(TRIES, method) + 1, 'its tries and the old system');
      assert.equal((await statusOf(machine)).refused[0]?.version, '2');
    }
  }));
