/** Scenario: by each way of restarting, starts that hang end in the old system. */

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Method } from '../../src/model.ts';
import { assertSettled, checkNow, statusOf, switchOffAndOn, UPDATE_MS } from './guest.ts';
import { inLab } from './lab.ts';
import type { Machine } from './machine.ts';
import { restartBy, startsOf } from './methods.ts';

/** What the guard gives the next system, and some more. */
const GUARD_MS = 6 * 60_000;
const TRIES = 2;

/** The guard takes four minutes, in which its machine does nothing: the other one has the processor meanwhile. */
suite('starts that hang count as a try each, and end in the old system', { concurrency: true }, () => {
  const guardCounts = Promise.withResolvers<void>();

  test('a soft reboot that hangs is ended by its guard, the cold start after it at the power switch', () =>
    inLab('hang-soft', { method: 'soft', tries: TRIES }, async ({ machine, offer }) => {
      await offer('10');
      await hangs(machine, 'soft', () => {
        guardCounts.resolve();
        return machine.awaitLine(/the machine starts again/, GUARD_MS);
      });
    }).finally(guardCounts.resolve));

  test('starts by kexec and by the firmware are ended at the power switch', async () => {
    await guardCounts.promise;
    await inLab('hang', { method: 'kexec', tries: TRIES }, async ({ machine, offer }) => {
      await offer('10');
      await hangs(machine, 'kexec', () => switchOffAndOn(machine));
      await restartBy(machine, 'firmware', '10');
      await hangs(machine, 'firmware', () => switchOffAndOn(machine));
    });
  });
});

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
