/** What systemd is asked of its units, and how its answers are read. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type UnitsProbe, unitsProbe } from '../../src/reboot/health/units.ts';
import type { Exec } from '../../src/system/process/exec.ts';

const signal = new AbortController().signal;
const shown = (unit: string, state: Record<string, string>): string =>
  Object.entries({ Id: unit, ...state })
    .map((pair) => pair.join('='))
    .join('\n');
const ACTIVE = { LoadState: 'loaded', ActiveState: 'active', SubState: 'running', Result: 'success' };

type Answers = Readonly<{ jobs?: readonly string[]; units?: readonly string[]; failed?: string }>;

/** What the probe says, and the calls of systemctl. */
async function probed({ jobs = [''], units = [], failed = '' }: Answers, change: Partial<UnitsProbe> = {}) {
  const calls: string[] = [];
  const now = { ms: 0, looks: 0 };
  const exec: Exec = async (program, args, options) => {
    calls.push([program, ...args].join(' '));
    assert.deepEqual([options?.timeoutMs, options?.signal], [20_000, signal]);
    const stdout =
      args[0] === 'list-jobs'
        ? (jobs[Math.min(now.looks++, jobs.length - 1)] ?? '')
        : args[0] === 'show'
          ? units.join('\n\n')
          : args[0] === 'list-units'
            ? failed
            : '';
    return { exitCode: 0, stdout, stderr: '', timedOut: false };
  };
  const probe = unitsProbe({
    exec,
    files: { read: async () => undefined },
    clock: {
      now: () => new Date(0),
      monotonicMs: () => now.ms,
      sleep: async (ms) => {
        now.ms += ms;
      },
    },
    required: [],
    ignored: [],
    startTimeoutMs: 3_000,
    ...change,
  });
  return { result: await probe.run(signal), calls, waitedMs: now.ms };
}

const failedUnits = (...units: string[]): string => JSON.stringify(units.map((unit) => ({ unit, load: 'loaded' })));
const LIST_JOBS = 'systemctl list-jobs --no-legend --plain';
const LIST_FAILED = 'systemctl list-units --state=failed --no-legend --output=json';

test('where no unit is required, none is asked for', async () => {
  const { result, calls } = await probed({});
  assert.deepEqual(result, { ok: true });
  assert.deepEqual(calls.slice(0, 2), [LIST_JOBS, LIST_FAILED]);
});

test('required units are asked for at once, and answered in their order', async () => {
  const units = [
    shown('a.service', ACTIVE),
    shown('real.service', { ...ACTIVE, ActiveState: 'inactive', SubState: 'dead' }),
  ];
  const { result, calls } = await probed({ units }, { required: ['a.service', 'alias.service', 'c.service'] });
  assert.ok(
    calls.includes(
      'systemctl show --property=Id,LoadState,ActiveState,SubState,Result -- a.service alias.service c.service',
    ),
    calls.join('\n'),
  );
  assert.deepEqual(result, {
    ok: false,
    reason: 'alias.service is inactive (dead); c.service is unknown (unknown)',
  });
});

test('a unit that does not exist, or ended badly, is said to be so', async () => {
  const units = [
    shown('a.service', { LoadState: 'not-found', ActiveState: 'inactive', SubState: 'dead', Result: 'success' }),
    shown('b.service', { ...ACTIVE, ActiveState: 'failed', SubState: 'failed', Result: 'exit-code' }),
  ];
  const { result } = await probed(
    { units, failed: failedUnits('b.service', 'c.service') },
    { required: ['a.service', 'b.service'] },
  );
  assert.deepEqual(result, {
    ok: false,
    reason: 'a.service does not exist; b.service is failed (failed): exit-code; c.service failed',
  });
});

test('what may fail, what failed before and what waits for the verdict itself are no fault', async () => {
  const failed = failedUnits('tandem-confirm.service', 'backup-daily.service', 'old.service', 'new.service');
  const { result } = await probed({ failed }, { ignored: ['backup-*'], before: ['old.service'] });
  assert.deepEqual(result, { ok: false, reason: 'new.service failed' });
});

test('while units start they are waited for, a look a second, and at the end of the time those are named', async () => {
  const starting = '  42 web.service start running\n 43 db.service start waiting\n 44 old.service stop running\n';
  assert.deepEqual((await probed({ jobs: [starting, starting, ''] })).result, { ok: true });
  const { result, calls, waitedMs } = await probed({ jobs: [starting] });
  assert.deepEqual(result, { ok: false, reason: 'the system is still starting: web.service' });
  assert.deepEqual([calls, waitedMs], [Array(4).fill(LIST_JOBS), 3_000]);
});

test('what waits for the verdict, and what may take its time, is not waited for', async () => {
  const jobs = ['1 tandem-agent.service start running\n2 backup-daily.service start running\n'];
  const { result, waitedMs } = await probed({ jobs }, { ignored: ['backup-*'] });
  assert.deepEqual([result, waitedMs], [{ ok: true }, 0]);
});
