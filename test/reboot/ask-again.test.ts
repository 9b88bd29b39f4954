/** Health is asked again until it is good or the time is up, and the verdict comes before the dead man does. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proveHealth } from '../../src/agent/loop/health.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { askAgain } from '../../src/reboot/health/ask-again.ts';
import { spanMs, untilDeadMan } from '../../src/reboot/health/dead-man-timer.ts';
import type { Health } from '../../src/reboot/health/run-probes.ts';
import { silentLog } from '../../src/system/log.ts';
import type { Exec } from '../../src/system/process/exec.ts';

const GOOD: Health = { ok: true, failures: [], warnings: [] };
const sick = (...failures: string[]): Health => ({ ok: false, failures, warnings: [] });
const never = new AbortController().signal;

/** A clock whose pauses pass at once; who sleeps longer watches over somebody, and is woken by the signal. */
function stopwatch() {
  let ms = 1_000;
  return {
    now: () => new Date(ms),
    monotonicMs: () => ms,
    sleep: async (by: number, signal?: AbortSignal) => {
      signal?.throwIfAborted();
      if (by > 5_000) await new Promise((_, reject) => signal?.addEventListener('abort', reject));
      ms += by;
    },
    pass: (by: number): void => {
      ms += by;
    },
  };
}

type Look = Readonly<{ isFirst: boolean; at: number; mostMs: number }>;

/** Asks a system that is sick until `goodAt`, where each look takes `lookMs`; tells of the looks. */
async function asked(goodAt: number, retryMs: number, lookMs = 0, mostMs?: number) {
  const clock = stopwatch();
  const begun = clock.monotonicMs();
  const looks: Look[] = [];
  const health = await askAgain(
    async (isFirst, most) => {
      looks.push({ isFirst, at: clock.monotonicMs() - begun, mostMs: most });
      clock.pass(Math.min(lookMs, most));
      return clock.monotonicMs() - begun >= goodAt ? GOOD : sick(`look ${looks.length}`);
    },
    { clock, retryMs, mostMs, signal: never },
  );
  return { health, looks, tookMs: clock.monotonicMs() - begun };
}

test('a system that is healthy is asked once', async () => {
  assert.equal((await asked(0, 120_000)).looks.length, 1);
});

test('what is well within the time of retries is healthy', async () => {
  const { health, looks } = await asked(100_000, 120_000);
  assert.equal(health.ok, true);
  assert.deepEqual(
    looks.map(({ isFirst }) => isFirst).filter((isFirst) => isFirst),
    [true],
  );
});

test('what is sick for longer is denied with the words of the last look, and without retries with the first', async () => {
  const late = await asked(130_000, 120_000);
  assert.deepEqual([late.health.failures, late.looks.length], [['look 25'], 25]);
  const once = await asked(10_000, 0);
  assert.deepEqual([once.health.failures, once.looks.length], [['look 1'], 1]);
});

test('the time of retries begins when the first look has failed: a slow start does not use it up', async () => {
  assert.equal((await asked(310_000, 120_000, 300_000)).health.ok, true);
});

test('nothing is asked beyond the moment of the dead man, however much is left of the retries', async () => {
  const { looks, tookMs, health } = await asked(900_000, 3_600_000, 40_000, 200_000);
  assert.equal(health.ok, false);
  assert.ok(tookMs <= 200_000, `took ${tookMs}`);
  for (const { at, mostMs } of looks) assert.ok(at + mostMs <= 200_000 || mostMs === 15_000, `${at} ${mostMs}`);
});

test('a system whose dead man is about to come still gets one look of some length', async () => {
  const { looks, health } = await asked(0, 120_000, 0, -5_000);
  assert.deepEqual([looks.length, looks[0]?.mostMs, health.ok], [1, 15_000, true]);
});

test('what is only wanted is asked once, and warned of once', async () => {
  let looks = 0;
  const health = await askAgain(
    async (isFirst) => {
      looks++;
      return { ...(looks < 3 ? sick('web') : GOOD), warnings: isFirst ? ['no post'] : [] };
    },
    { clock: stopwatch(), retryMs: 60_000, signal: never },
  );
  assert.deepEqual(health, { ok: true, failures: [], warnings: ['no post'] });
});

test('a daemon that is stopped between two looks gives no verdict', async () => {
  const stop = new AbortController();
  const asking = askAgain(
    async () => {
      stop.abort(new Error('stopped'));
      return sick('web');
    },
    { clock: stopwatch(), retryMs: 60_000, signal: stop.signal },
  );
  await assert.rejects(asking, /stopped/);
});

test('time spans are read as systemd prints them', () => {
  const spans = ['28min 8.435691s', '1d 2h 3min', '0', '500ms', '1y 1month 1w', 'infinity', '', 'n/a'];
  assert.deepEqual(
    spans.map((span) => spanMs(span)),
    [
      1_688_435.691,
      93_780_000,
      undefined,
      500,
      31_557_600_000 + 2_629_800_000 + 604_800_000,
      undefined,
      undefined,
      undefined,
    ],
  );
});

/** A systemctl whose timer ends then, and in which a unit is failed while `isSick`. */
const systemctl =
  (elapse: string, isSick: () => boolean = () => false): Exec =>
  async (_program, args) => {
    const out =
      args[0] === 'show' ? `${elapse}\n` : args[0] === 'list-units' && isSick() ? '[{"unit":"web.service"}]' : '';
    return { exitCode: 0, stdout: out, stderr: '', timedOut: false };
  };

test('the dead man comes when his timer says, or nobody knows when', async () => {
  assert.equal(await untilDeadMan(systemctl('10min 30s'), 600_000), 30_000);
  assert.equal(await untilDeadMan(systemctl('10min'), 600_000), undefined);
  assert.equal(await untilDeadMan(systemctl(''), 0), undefined);
  const broken: Exec = async () => ({ exitCode: 1, stdout: '10min', stderr: 'no bus', timedOut: false });
  assert.equal(await untilDeadMan(broken, 0), undefined);
});

for (const [what, elapse, ok] of [
  ['is denied before the dead man comes', '3min', false],
  ['is asked until it is well', '10min', true],
] as const)
  test(`a system on trial that is well after four minutes ${what}, where he comes after ${elapse}`, async () => {
    const clock = stopwatch();
    const begun = clock.monotonicMs();
    const exec = systemctl(elapse, () => clock.monotonicMs() - begun < 240_000);
    const files = { read: async () => undefined, list: async () => [] };
    const config = resolveConfig([{ path: 'test', text: 'health.retry_seconds = 600\n' }]);
    const verdict = await proveHealth(config, { exec, files, clock, log: silentLog, uptimeMs: () => 1000 }, 'b', never);
    assert.deepEqual(verdict, ok ? { ok: true } : { ok: false, reason: 'systemd units: web.service failed' });
    assert.ok(ok || clock.monotonicMs() - begun <= 160_000);
  });
