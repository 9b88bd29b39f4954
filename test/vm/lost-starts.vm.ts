/** Scenario: by each way of restarting, starts that hang and starts that lose their power end in the old system. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Method } from '../../src/model.ts';
import { assertSettled, checkNow, cut, statusOf, switchOffAndOn, UPDATE_MS, update } from './guest.ts';
import { inLab } from './lab.ts';
import type { Machine } from './machine.ts';

/** What the guard gives the next system, and some more. */
const GUARD_MS = 6 * 60_000;

test('a soft reboot that hangs is ended by its guard, other starts at the power switch; all count as a try and fall back', () =>
  inLab('hang', { method: 'soft' }, async (lab) => {
    const { machine } = lab;
    await lab.offer('10');
    await hangs(machine, 'soft', () => machine.awaitLine(/the machine starts again/, GUARD_MS));
    for (const method of ['kexec', 'firmware'] as const) {
      await again(machine, '10', method);
      await hangs(machine, method, () => switchOffAndOn(machine));
    }
  }));

test('a release under which the power fails at every try is left and refused, whichever way it was started first', () =>
  inLab('outages', { method: 'soft' }, async (lab) => {
    const { machine } = lab;
    for (const method of ['soft', 'kexec', 'firmware'] as const) {
      await again(machine, '2', method);
      const { boots } = machine;
      let ready = await update(lab, '2');
      for (let tries = 1; tries <= 3; tries += 1) {
        assert.deepEqual([ready.slot, ready.version], ['b', '2'], `try ${tries}, the first by ${method}`);
        ready = await cut(machine);
      }
      await assertSettled(machine, ready, 'a', '1');
      assert.equal(machine.boots, boots + startsOf(method), 'three tries and the old system');
      assert.equal((await statusOf(machine)).refused[0]?.version, '2');
    }
  }));

/** Takes release 10, whose first process hangs; `end` is how that is ended the first time. Cold starts need a hand on the switch. */
async function hangs(machine: Machine, method: Method, end: () => Promise<unknown>): Promise<void> {
  const { boots } = machine;
  machine.forgetOutput();
  await checkNow(machine);
  await machine.awaitLine(/@@HANG/, UPDATE_MS);
  assert.equal(machine.boots, boots + startsOf(method) - 3, 'whether the firmware was started');
  await end();
  for (let cold = 1; cold <= 2; cold += 1) {
    await machine.awaitLine(/@@HANG/);
    await switchOffAndOn(machine);
  }
  await assertSettled(machine, await machine.awaitReady(UPDATE_MS), 'a', '1');
  assert.equal(machine.boots, boots + startsOf(method), 'three tries and the old system');
  assert.equal((await statusOf(machine)).refused[0]?.version, '10');
}

/** Starts by the firmware from three tries, the first by this method, to the old system. */
const startsOf = (method: Method): number => (method === 'firmware' ? 4 : 3);

/** The same release once more, another way. */
async function again(machine: Machine, version: string, method: Method): Promise<void> {
  await machine.run(`printf '[reboot]\\nmethod = "${method}"\\n' >/run/tandem/config.d/30-method.toml`);
  await machine.run('systemctl restart tandem-agent.service');
  await machine.attempt(`updatectl forget ${version}`);
}
