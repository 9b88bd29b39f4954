/** Probes tell a healthy system from a sick one, and none can hold the verdict up. */

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Probe } from '../../src/reboot/health/probe.ts';
import { programProbes } from '../../src/reboot/health/programs.ts';
import { runProbes } from '../../src/reboot/health/run-probes.ts';
import { unitsProbe } from '../../src/reboot/health/units.ts';
import { type Clock, realClock } from '../../src/system/clock.ts';
import { realFiles } from '../../src/system/files.ts';
import { realExec } from '../../src/system/process/exec.ts';
import { type FakeSystemctl, fakeSystemctl } from '../support/fake-systemctl.ts';

const never = new AbortController().signal;
const probe = (name: string, run: Probe['run'], required = true): Probe => ({ name, required, run });
const run = (probes: readonly Probe[], timeoutMs = 5_000, signal = never) =>
  runProbes(probes, { clock: realClock, timeoutMs, signal });

/** A clock whose sleeps pass at once. */
function fastClock(onSleep: () => Promise<void> = async () => {}): Clock {
  let passed = 0;
  return {
    now: () => new Date(0),
    monotonicMs: () => passed,
    sleep: async (ms) => {
      passed += ms;
      await onSleep();
    },
  };
}

test('a required probe that fails condemns, a wanted one only warns', async () => {
  const sick = async () => ({ ok: false, reason: 'sick' }) as const;
  const health = await run([
    probe('fine', async () => ({ ok: true })),
    probe('must', sick),
    probe('should', sick, false),
  ]);
  assert.deepEqual(health, { ok: false, failures: ['must: sick'], warnings: ['should: sick'] });
  assert.equal((await run([probe('should', sick, false)])).ok, true);
});

test('a probe that throws has failed', async () => {
  const health = await run([probe('torn', async () => Promise.reject(new Error('no bus')))]);
  assert.deepEqual(health.failures, ['torn: no bus']);
});

test('a probe that hangs and does not heed its signal has failed', async () => {
  const health = await runProbes([probe('deaf', () => new Promise(() => {}))], {
    clock: fastClock(),
    timeoutMs: 90_000,
    signal: never,
  });
  assert.deepEqual(health.failures, ['deaf: still running after 90 s']);
});

test('a daemon that is stopped gives no verdict', async () => {
  const stop = new AbortController();
  const health = run([probe('deaf', () => new Promise(() => {}))], 60_000, stop.signal);
  stop.abort(new Error('stopped'));
  await assert.rejects(health, /stopped/);
});

// programs

async function inHealthDir(check: (dirs: string[], put: typeof program) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'tandem-health-'));
  try {
    await check([join(root, 'usr'), join(root, 'etc')], (path, script) => program(join(root, path), script));
  } finally {
    await rm(root, { recursive: true });
  }
}

async function program(path: string, script: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
}

const programs = (dirs: string[], timeoutMs = 5_000) =>
  programProbes({ exec: realExec, files: realFiles, dirs, timeoutMs });

test('programs in required and wanted are run, and the last of what they say is the reason', async () => {
  await inHealthDir(async (dirs, put) => {
    await put('usr/required/good', 'exit 0');
    await put('usr/required/web', 'yes early | head -c 9000; echo "the shop is closed" >&2; exit 3');
    await put('etc/wanted/mail', 'echo no post; exit 1');
    const health = await run(await programs(dirs));
    assert.equal(health.failures.length, 1);
    assert.match(health.failures[0] ?? '', /required\/web: ended with status 3: [early\n]+the shop is closed$/);
    assert.ok((health.failures[0]?.length ?? 0) < 1024 + 200);
    assert.match(health.warnings.join(), /wanted\/mail: ended with status 1: no post$/);
  });
});

test('a program in /etc takes the place of the one of the same name, and a link to /dev/null switches it off', async () => {
  await inHealthDir(async (dirs, put) => {
    await put('usr/required/a', 'exit 1');
    await put('usr/required/b', 'exit 1');
    await put('etc/required/a', 'exit 0');
    await symlink('/dev/null', join(dirs[1] ?? '', 'required/b'));
    await writeFile(join(dirs[1] ?? '', 'required/.keep'), '');
    await writeFile(join(dirs[1] ?? '', 'required/a~'), 'what an editor left');
    await writeFile(join(dirs[1] ?? '', 'required/a.dpkg-old'), 'what a package left');
    const found = await programs(dirs);
    assert.deepEqual(
      found.map((one) => one.name),
      [join(dirs[1] ?? '', 'required/a')],
    );
    assert.equal((await run(found)).ok, true);
  });
});

test('a program that runs too long is stopped and has failed', async () => {
  await inHealthDir(async (dirs, put) => {
    await put('usr/required/slow', 'exec sleep 60');
    assert.match((await run(await programs(dirs, 100))).failures.join(), /still running/);
  });
});

test('a program that ends well passes, though a child that it leaves behind keeps its output open', async () => {
  await inHealthDir(async (dirs, put) => {
    await put('usr/required/daemon', 'sleep 5 & exit 0');
    await put('usr/required/sick', 'sleep 5 & echo sick; exit 1');
    const { failures } = await run(await programs(dirs), 3_000);
    assert.deepEqual(failures, [`${join(dirs[0] ?? '', 'required/sick')}: ended with status 1: sick`]);
  });
});

const UNFIT: readonly (readonly [what: string, make: (path: string) => Promise<unknown>, reason: RegExp])[] = [
  ['is not executable', (path) => writeFile(path, '#!/bin/sh\nexit 0\n'), /^is not executable$/],
  ['is empty', (path) => writeFile(path, '', { mode: 0o755 }), /^is neither a binary nor starts with #!$/],
  ['has no first line for the kernel', (path) => writeFile(path, 'exit 0\n', { mode: 0o755 }), /neither a binary/],
  [
    'has an interpreter that is missing',
    (path) => writeFile(path, '#! /nonexistent/interpreter -x\n', { mode: 0o755 }),
    /^needs \/nonexistent\/interpreter, which does not exist$/,
  ],
  ['is a link that leads nowhere', (path) => symlink('/nowhere/check', path), /^is a dangling link$/],
  ['is a link to itself', (path) => symlink(path, path), /^cannot be examined \(ELOOP\)$/],
  ['is a folder', (path) => mkdir(path), /^is a folder, not a program$/],
  ['is a device', (path) => symlink('/dev/zero', path), /^is not a file, not a program$/],
];

for (const [what, make, reason] of UNFIT)
  test(`what lies in required and ${what} fails the trial, and in wanted warns`, async () => {
    await inHealthDir(async (dirs, put) => {
      await put('usr/required/good', 'exit 0');
      await put('usr/wanted/good', 'exit 0');
      for (const kind of ['required', 'wanted']) await make(join(dirs[0] ?? '', kind, 'unfit'));
      const { failures, warnings } = await run(await programs(dirs));
      for (const [sentence, kind] of [
        [failures, 'required'],
        [warnings, 'wanted'],
      ] as const) {
        const [name, why] = sentence.join().split(': ');
        assert.equal(name, join(dirs[0] ?? '', kind, 'unfit'));
        assert.match(why ?? '', reason);
      }
    });
  });

test('a folder of programs that cannot be listed fails the trial', async () => {
  const list = async (dir: string): Promise<string[]> =>
    dir === '/bad/required' ? Promise.reject(Object.assign(new Error('i/o'), { code: 'EIO' })) : [];
  const found = await programProbes({ exec: realExec, files: { list }, dirs: ['/bad'], timeoutMs: 1000 });
  assert.deepEqual((await run(found)).failures, ['/bad/required: cannot be listed (EIO)']);
});

test('a program that the kernel refuses when it is run has failed', async () => {
  await inHealthDir(async (dirs, put) => {
    await put('usr/required/broken', '');
    await writeFile(join(dirs[0] ?? '', 'required/broken'), '\x7fELF, but nothing behind it');
    const { failures } = await run(await programs(dirs));
    assert.match(failures.join(), /required\/broken: ended with status [1-9]/);
  });
});

// units

// As `systemctl list-jobs --no-legend --plain` of systemd 252 prints them.
const job = (unit: string, state: string): string => `67 ${unit.padEnd(24)} start ${state}`;

async function withUnits(
  check: (
    systemctl: FakeSystemctl,
    ask: (options?: Readonly<{ clock?: Clock; ignored?: string[] }>) => Promise<string>,
  ) => Promise<void>,
): Promise<void> {
  await using systemctl = await fakeSystemctl();
  await systemctl.answer('show', { out: show('active') });
  await systemctl.answer('list-units', { out: '[]' });
  const ask = async (options: Readonly<{ clock?: Clock; ignored?: string[] }> = {}): Promise<string> => {
    const probe = unitsProbe({
      exec: systemctl.exec,
      files: realFiles,
      clock: options.clock ?? fastClock(),
      required: ['shop.service', 'dbus.service'],
      ignored: options.ignored ?? [],
      startTimeoutMs: 5_000,
    });
    const result = await probe.run(never);
    return result.ok ? 'ok' : result.reason;
  };
  await check(systemctl, ask);
}

const show = (shop: string, rest = 'SubState=running\nResult=success\nLoadState=loaded') =>
  `Id=shop.service\nActiveState=${shop}\n${rest}\n\nResult=success\nId=dbus.service\nLoadState=loaded\nActiveState=active\nSubState=running\n`;

test('a system whose required units run and in which nothing failed is healthy', async () => {
  await withUnits(async (systemctl, ask) => {
    assert.equal(await ask(), 'ok');
    assert.deepEqual(await systemctl.calls(), [
      'list-jobs --no-legend --plain',
      'show --property=Id,LoadState,ActiveState,SubState,Result -- shop.service dbus.service',
      'list-units --state=failed --no-legend --output=json',
    ]);
  });
});

test('a required unit that is not active condemns, with what systemd says of it', async () => {
  await withUnits(async (systemctl, ask) => {
    await systemctl.answer('show', { out: show('failed', 'SubState=failed\nResult=exit-code\nLoadState=loaded') });
    await systemctl.answer('list-units', { out: '[{"unit":"shop.service","load":"loaded"}]' });
    assert.equal(await ask(), 'shop.service is failed (failed): exit-code');
    await systemctl.answer('show', { out: show('inactive', 'SubState=dead\nResult=success\nLoadState=not-found') });
    await systemctl.answer('list-units', { out: '' });
    assert.equal(await ask(), 'shop.service does not exist');
  });
});

test('any other unit that failed condemns, unless it is ignored', async () => {
  await withUnits(async (systemctl, ask) => {
    await systemctl.answer('list-units', { out: '[{"unit":"apt-daily.service"},{"unit":"mail@1.service"}]' });
    assert.equal(await ask(), 'apt-daily.service failed; mail@1.service failed');
    assert.equal(await ask({ ignored: ['apt-*', 'mail@*.service'] }), 'ok');
  });
});

test('the probe waits while units are starting, and looks again', async () => {
  await withUnits(async (systemctl, ask) => {
    await systemctl.answer('list-jobs', {
      out: `${job('db.service', 'running')}\n${job('shop.service', 'waiting')}\n`,
    });
    let sleeps = 0;
    const clock = fastClock(async () => {
      sleeps++;
      if (sleeps === 3) await systemctl.answer('list-jobs', { out: '' });
    });
    assert.equal(await ask({ clock }), 'ok');
    assert.equal(sleeps, 3);
  });
});

test('a system that never finishes starting is condemned, with what it waits for', async () => {
  await withUnits(async (systemctl, ask) => {
    await systemctl.answer('list-jobs', { out: `${job('db.service', 'running')}\n` });
    assert.equal(await ask(), 'the system is still starting: db.service');
    assert.equal(await ask({ ignored: ['db.*'] }), 'ok');
  });
});

test('the probe does not wait for what waits for its verdict', async () => {
  await withUnits(async (systemctl, ask) => {
    const jobs = [
      job('tandem-confirm.service', 'running'),
      job('boot-complete.target', 'waiting'),
      job('systemd-bless-boot.service', 'waiting'),
    ];
    await systemctl.answer('list-jobs', { out: jobs.join('\n') });
    assert.equal(await ask(), 'ok');
  });
});

test('a blessing that fails since the boot loader was skipped is not the release’s fault', async () => {
  await withUnits(async (systemctl, ask) => {
    await systemctl.answer('list-units', { out: JSON.stringify([{ unit: 'systemd-bless-boot.service' }]) });
    assert.equal(await ask(), 'ok');
    const units = [{ unit: 'systemd-bless-boot.service' }, { unit: 'web.service' }];
    await systemctl.answer('list-units', { out: JSON.stringify(units) });
    assert.match(await ask(), /^web\.service failed/);
  });
});

test('a systemctl that fails, or answers something else, condemns', async () => {
  await withUnits(async (systemctl, ask) => {
    await systemctl.answer('list-units', { out: '{}' });
    await assert.rejects(ask(), /must be a list/);
    await systemctl.answer('list-jobs', { err: 'Failed to connect to bus', status: 1 });
    await assert.rejects(ask(), /Failed to connect to bus/);
  });
});

test('a probe that has run out of time is told to stop; so is the clock that counts for one that has ended', async () => {
  const stopped: string[] = [];
  const hears = (name: string, signal: AbortSignal | undefined): void =>
    signal?.addEventListener('abort', () => stopped.push(name));
  const clock: Clock = {
    ...fastClock(),
    sleep: async (ms, signal) => {
      hears(`the clock of ${ms} ms`, signal);
      if (ms === 20) await new Promise(() => {});
    },
  };
  const late = await runProbes(
    [
      probe('slow', (signal) => {
        hears('slow', signal);
        return new Promise(() => {});
      }),
    ],
    { clock, timeoutMs: 10_000, signal: never },
  );
  assert.deepEqual(late.failures, ['slow: still running after 10 s']);
  assert.deepEqual(stopped.toSorted(), ['slow', 'the clock of 10000 ms']);
  stopped.length = 0;
  const quick = await runProbes([probe('quick', async () => ({ ok: true }))], { clock, timeoutMs: 20, signal: never });
  assert.deepEqual([quick.ok, stopped], [true, ['the clock of 20 ms']]);
});

test('while units are starting the probe looks once a second, and not between', async () => {
  await withUnits(async (systemctl, ask) => {
    await systemctl.answer('list-jobs', { out: `${job('db.service', 'running')}\n` });
    const order: string[] = [];
    let passed = 0;
    const clock: Clock = {
      now: () => new Date(0),
      monotonicMs: () => passed,
      sleep: async (ms) => {
        order.push(`asleep for ${ms}`);
        await new Promise((resolve) => setImmediate(resolve));
        passed += ms;
        order.push(`awake after ${(await systemctl.calls()).length}`);
      },
    };
    assert.match(await ask({ clock }), /still starting/);
    const looks = [1, 2, 3, 4, 5];
    assert.deepEqual(
      order,
      looks.flatMap((count) => ['asleep for 1000', `awake after ${count}`]),
    );
  });
});
