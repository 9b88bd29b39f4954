/** Scenario: by each way of restarting, starts that hang end in the old system. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Method } from '../../src/model.ts';
import { assertSettled, checkNow, statusOf, switchOffAndOn, UPDATE_MS } from './guest.ts';
import { inLab } from './lab.ts';
import type { Machine } from './machine.ts';
import { restartBy, startsOf } from './methods.ts';

/** What the guard gives the next system, and some more. */
const GUARD_MS = 6 * 60_000;
const TRIES = 2;

test('a soft reboot that hangs is ended by its guard, other starts at the power switch; all count as a try and fall back', () =>
  inLab('hang', { method: 'soft', tries: TRIES }, async (lab) => {
    const { machine } = lab;
    await lab.offer('10');
    await hangs(machine, 'soft', () => machine.awaitLine(/the machine starts again/, GUARD_MS));
    for (const method of ['kexec', 'firmware'] as const) {
      await restartBy(machine, method, '10');
      await hangs(machine, method, () => switchOffAndOn(machine));
    }
  }));

/** Takes release 10, whose first process hangs; `end` is how that is ended the first time. Cold starts need a hand on the switch. */
async function hangs(machine: Machine, method: Method, end: () => Promise<unknown>): Promise<void> {
  const { boots } = machine;
  machine.forgetOutput();
  await checkNow(machine);
  await machine.awaitLine(/@@HANG/, UPDATE_MS);
  assert.equal(machine.boots, boots + startsOf(1, method), 'whether the firmware was started');
  await end();
  for (let cold = 1; cold < TRIES; cold += 1) {
    await machine.awaitLine(/@@HANG/);
    await switchOffAndOn(machine);
  }
  await assertSettled(machine, await machine.awaitReady(UPDATE_MS), 'a', '1');
  assert.equal(machine.boots, boots + startsOf(TRIES, method) + 1, 'its tries and the old system');
  assert.equal((await statusOf(machine)).refused[0]?.version, '10');
}
