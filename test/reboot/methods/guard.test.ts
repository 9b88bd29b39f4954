/** A soft reboot has a guard that outlives it, and a host without one says so and goes on. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { UpdateError } from '../../../src/errors.ts';
import { GUARD, startGuard, stopGuard, WAIT_THEN_RESET } from '../../../src/reboot/methods/guard.ts';
import { type Exec, realExec } from '../../../src/system/process/exec.ts';

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
  assert.ok(started.includes('--expand-environment=no'), 'the text has variables of its own');
  assert.deepEqual(started.slice(-7), ['/bin/sh', '-c', WAIT_THEN_RESET, GUARD, '240', '2100', '/proc/sysrq-trigger']);
});

/** What the service manager answers to each look at the system, and then whether an agent runs. The seconds are short. */
async function watched(
  answers: readonly string[],
  isActive: boolean,
  most = 60,
): Promise<Readonly<{ looks: number; reset: boolean }>> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-guard-'));
  const tool = (name: string, text: string): Promise<void> =>
    writeFile(join(dir, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  await writeFile(join(dir, 'answers'), answers.map((one) => `${one}\n`).join(''));
  await tool('sleep', 'exec /bin/sleep 0.5');
  const is = `
    if [ $1 = is-active ]; then exit ${isActive ? 0 : 3}; fi
    echo look >>${dir}/looks
    sed -n "$(wc -l <${dir}/looks)p" ${dir}/answers`;
  await tool('systemctl', is);
  try {
    const env = { PATH: `${dir}:${process.env['PATH']}` };
    const args = ['-c', WAIT_THEN_RESET, 'guard', '2', String(most), join(dir, 'reset')];
    assert.deepEqual(await realExec('sh', args, { env, timeoutMs: 60_000 }).then(({ stderr }) => stderr), '');
    const text = (name: string): Promise<string> => readFile(join(dir, name), 'utf8').catch(() => '');
    return { looks: (await text('looks')).split('\n').length - 1, reset: (await text('reset')) === 'b\n' };
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('who is still stopping, or starting, is not reset; the next system’s time begins when the stop has ended', async () => {
  const slow = Array.from({ length: 4 }, () => 'stopping');
  const { looks, reset } = await watched([...slow, 'starting'], true);
  // A busy machine looks once in two seconds, a quiet one four times.
  assert.ok(looks >= 6, `${looks}: two seconds more after five looks`);
  assert.equal(reset, false);
});

test('where nobody answers, or there is no agent, the machine is reset; also when the stop never ends', async () => {
  const endless = Array.from({ length: 100 }, () => 'stopping');
  const all = [
    watched([], false),
    watched(['stopping', 'running', 'running', 'running', 'running'], false),
    watched(['degraded'], true),
    watched(endless, false, 3),
  ];
  const resets = (await Promise.all(all)).map(({ reset }) => reset);
  assert.deepEqual(resets, [true, true, false, true]);
});

test('the guard’s text is plain shell', async () => {
  const args = ['--shell=sh', '-'];
  const said = await realExec('shellcheck', args, { input: new TextEncoder().encode(WAIT_THEN_RESET) });
  assert.equal(said.stdout, '');
});

test('a service manager that knows no such property is no reason to stay', async () => {
  const { exec } = recording(1, 'Unknown assignment: SurviveFinalKillSignal=yes');
  assert.match(await startGuard(exec), /the guard could not be started: Unknown assignment/);
});

test('an image without systemd-run has no guard, says so, and goes on', async () => {
  const exec: Exec = async (program) => {
    throw new UpdateError('tool-missing', `${program} is not installed.`);
  };
  assert.match(await startGuard(exec), /the guard could not be started: systemd-run is not installed/);
});

test('a host that stays lets go of the guard', async () => {
  const { calls, exec } = recording(0);
  await stopGuard(exec);
  assert.deepEqual(calls, [['systemctl', 'stop', GUARD]]);
});
