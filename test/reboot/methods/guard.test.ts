/** A soft reboot has a guard that outlives it, and a host without one says so and goes on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GUARD, startGuard, stopGuard } from '../../../src/reboot/methods/guard.ts';
import type { Exec } from '../../../src/system/exec.ts';

function recording(exitCode: number, stderr = ''): { calls: string[][]; exec: Exec } {
  const calls: string[][] = [];
  const exec = (async (program: string, args: readonly string[]) => {
    calls.push([program, ...args]);
    return { exitCode: program === 'systemd-run' ? exitCode : 0, stdout: '', stderr };
  }) as unknown as Exec;
  return { calls, exec };
}

test('the guard survives the jump, gives way to the next dead man’s timer, and resets only where no agent runs', async () => {
  const { calls, exec } = recording(0);
  assert.match(await startGuard(exec), /resets the machine/);
  const [stopped, started = []] = calls;
  assert.deepEqual(stopped, ['systemctl', 'stop', GUARD], 'an older one would end this attempt too early');
  for (const property of ['SurviveFinalKillSignal=yes', 'IgnoreOnIsolate=yes', 'Conflicts=tandem-dead-man.timer'])
    assert.ok(started.includes(property), property);
  assert.match(
    started.at(-1) ?? '',
    /^sleep \d+; .*is-active --quiet tandem-agent\.service \|\| echo b >\/proc\/sysrq-trigger$/,
  );
});

test('a service manager that knows no such property is no reason to stay', async () => {
  const { exec } = recording(1, 'Unknown assignment: SurviveFinalKillSignal=yes');
  assert.match(await startGuard(exec), /no guard could be started: Unknown assignment/);
});

test('a host that stays lets go of the guard', async () => {
  const { calls, exec } = recording(0);
  await stopGuard(exec);
  assert.deepEqual(calls, [['systemctl', 'stop', GUARD]]);
});
