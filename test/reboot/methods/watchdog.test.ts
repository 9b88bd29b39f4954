/** The hardware watchdog is left running into the next kernel, where there is one that the next system takes over. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpdateError } from '../../../src/errors.ts';
import { armWatchdog, disarmWatchdog } from '../../../src/reboot/methods/watchdog.ts';
import type { Exec } from '../../../src/system/process/exec.ts';
import { type FakeMachine, fakeMachine } from '../../support/fake-machine.ts';

const SET =
  'busctl set-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager KExecWatchdogUSec t';

async function watched(said: string): Promise<FakeMachine> {
  const machine = await fakeMachine();
  await machine.put('sys/class/watchdog/watchdog0/identity', 'x');
  await machine.put('systemctl-says', `${said}\n`);
  return machine;
}

test('without a watchdog nothing is asked for, and that is said', async () => {
  await using machine = await fakeMachine();
  assert.match(await armWatchdog(machine), /no hardware watchdog/);
  assert.deepEqual(await machine.calls(), []);
});

test('a watchdog that is not in use stays off, since the next system might not take it over', async () => {
  await using machine = await watched('0');
  assert.match(await armWatchdog(machine), /stays off/);
  assert.equal((await machine.calls()).length, 1);
});

test('a watchdog in use is kept running into the next kernel, also with the time of its driver', async () => {
  for (const said of ['1min', 'infinity']) {
    await using machine = await watched(said);
    assert.match(await armWatchdog(machine), /KExecWatchdogUSec is 3min/);
    assert.equal((await machine.calls()).at(-1), `${SET} 180000000`);
  }
});

test('a host that stays has the configured time again, and the time that somebody else has set stays', async () => {
  await using ours = await watched('3min');
  await disarmWatchdog(ours.exec);
  assert.equal((await ours.calls()).at(-1), `${SET} 18446744073709551615`);
  for (const said of ['0', '10min']) {
    await using machine = await watched(said);
    await disarmWatchdog(machine.exec);
    assert.equal((await machine.calls()).length, 1, said);
  }
});

test('a watchdog that cannot be armed stops nothing', async () => {
  await using machine = await watched('1min');
  await machine.failAt(2);
  assert.match(await armWatchdog(machine), /could not be armed: busctl was told to fail/);
});

test('neither does an image without busctl', async () => {
  await using machine = await watched('1min');
  const exec: Exec = (program, ...more) =>
    program === 'busctl'
      ? Promise.reject(new UpdateError('tool-missing', 'busctl is not installed.'))
      : machine.exec(program, ...more);
  assert.match(await armWatchdog({ ...machine, exec }), /could not be armed: busctl is not installed/);
});
