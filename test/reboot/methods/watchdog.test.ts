/** The hardware watchdog is left running over a jump, where there is one that the next system takes over. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { armWatchdog } from '../../../src/reboot/methods/watchdog.ts';
import { fakeMachine } from '../../support/fake-machine.ts';

const MANAGER = 'org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager';

test('without a watchdog nothing is asked for, and that is said', async () => {
  await using machine = await fakeMachine();
  assert.match(await armWatchdog(machine, 'soft'), /no hardware watchdog/);
  assert.deepEqual(await machine.calls(), []);
});

test('a watchdog that is not in use is armed for a soft reboot only, since a next kernel might not take it over', async () => {
  await using machine = await fakeMachine();
  await machine.put('sys/class/watchdog/watchdog0/identity', 'x');
  await machine.put('systemctl-says', '0\n');
  assert.match(await armWatchdog(machine, 'kexec'), /stays off/);
  assert.equal((await machine.calls()).length, 1);
  assert.match(await armWatchdog(machine, 'soft'), /RuntimeWatchdogUSec is 180 s/);
  assert.equal((await machine.calls()).at(-1), `busctl set-property ${MANAGER} RuntimeWatchdogUSec t 180000000`);
});

test('a watchdog in use is kept running into the next kernel', async () => {
  await using machine = await fakeMachine();
  await machine.put('sys/class/watchdog/watchdog0/identity', 'x');
  await machine.put('systemctl-says', '1min\n');
  assert.match(await armWatchdog(machine, 'soft'), /runs on/);
  assert.match(await armWatchdog(machine, 'kexec'), /KExecWatchdogUSec is 180 s/);
  assert.equal((await machine.calls()).at(-1), `busctl set-property ${MANAGER} KExecWatchdogUSec t 180000000`);
});

test('a watchdog that cannot be armed stops nothing', async () => {
  await using machine = await fakeMachine();
  await machine.put('sys/class/watchdog/watchdog0/identity', 'x');
  await machine.failAt(2);
  assert.match(await armWatchdog(machine, 'soft'), /could not be armed: busctl was told to fail/);
});
