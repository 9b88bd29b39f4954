/** What doctor says of the programs that a release must pass, and of those before a restart. */

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { recordFailed } from '../../../src/agent/loop/failed-before.ts';
import { deadMansTime, failedUnitsCheck, healthCheck, hookPrograms } from '../../../src/cli/doctor/programs.ts';
import { type Config, resolveConfig } from '../../../src/config/config.ts';
import { realFiles } from '../../../src/system/files.ts';

type Host = Readonly<{
  put(name: string, mode?: number): Promise<void>;
  dir: string;
  health(more?: string): ReturnType<typeof healthCheck>;
  hooks(): ReturnType<typeof hookPrograms>;
}>;

async function onHost(check: (host: Host) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-doctor-'));
  for (const name of ['required', 'wanted', 'hooks']) await mkdir(join(dir, name));
  const config = (more = ''): Config =>
    resolveConfig([
      { path: 'test', text: `health.directories = ["${dir}"]\nreboot.hook_directories = ["${dir}/hooks"]\n${more}` },
    ]);
  try {
    await check({
      dir,
      put: async (name, mode = 0o755) => {
        await writeFile(join(dir, name), '#!/bin/sh\nexit 0\n');
        await chmod(join(dir, name), mode);
      },
      health: (more) => healthCheck(realFiles, config(more)),
      hooks: () => hookPrograms(realFiles, config()),
    });
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('a host that requires nothing of a release is warned, unless it names units', async () => {
  await onHost(async ({ health, put }) => {
    const found = await health();
    assert.equal(found.result, 'warn');
    assert.match(found.sentence, /^The only health requirement is/);
    assert.equal((await health('health.required_units = ["shop.service"]\n')).result, 'ok');
    await put('wanted/mail');
    assert.equal((await health()).result, 'warn');
    await put('required/shop');
    assert.deepEqual(await health(), {
      result: 'ok',
      sentence: 'Required programs: 1, required units: 0, wanted programs: 1.',
    });
  });
});

test('a required program that cannot be run is a failure, a wanted one a warning, and both are named', async () => {
  await onHost(async ({ health, put, dir }) => {
    await put('required/shop');
    await put('wanted/mail', 0o644);
    const warned = await health();
    assert.deepEqual([warned.result, warned.sentence], ['warn', `${dir}/wanted/mail is not executable.`]);
    await put('required/shop', 0o644);
    const failed = await health();
    assert.equal(failed.result, 'fail');
    assert.equal(failed.sentence, `${dir}/required/shop is not executable: no release can pass.`);
    assert.match(failed.next ?? '', /\/dev\/null/);
  });
});

test('a program before a restart that cannot be run is a failure', async () => {
  await onHost(async ({ hooks, put, dir }) => {
    assert.equal((await hooks()).result, 'ok');
    await put('hooks/10-drain');
    assert.equal((await hooks()).sentence, 'Programs: 1.');
    await symlink('/nowhere', join(dir, 'hooks/20-stop'));
    const failed = await hooks();
    assert.equal(failed.result, 'fail');
    assert.match(failed.sentence, /hooks\/20-stop is a dangling link: the host cannot restart/);
  });
});

test('a release that has longer to prove itself than the dead man waits is judged before, and doctor says so', async () => {
  const found = (more: string, timers = '{ OnActiveUSec=10min ; next_elapse=28min 8.435691s }') =>
    deadMansTime(
      async () => ({ exitCode: 0, stdout: `${timers}\n`, stderr: '', timedOut: false }),
      resolveConfig([{ path: 'test', text: more }]),
    );
  const usual = await found('');
  assert.equal(usual.result, 'ok');
  assert.match(usual.sentence, /up to 9 min 20 s .* after 10 min 00 s\.$/);
  const long = await found('health.retry_seconds = 600\n');
  assert.deepEqual([long.result, long.next?.includes('OnActiveSec=')], ['warn', true]);
  assert.equal(
    (await found('health.retry_seconds = 600\n', '{ OnActiveUSec=1h 30min ; next_elapse=infinity }')).result,
    'ok',
  );
  assert.equal((await found('', '')).result, 'unknown');
});

test('units that have failed are named, and those that had before the last update are told apart', async () => {
  await onHost(async ({ dir }) => {
    const config = resolveConfig([
      { path: 'test', text: `agent.state_dir = "${dir}"\nhealth.ignored_units = ["apt-*"]\n` },
    ]);
    const found = (...units: string[]) =>
      failedUnitsCheck(
        {
          files: realFiles,
          signal: new AbortController().signal,
          exec: async () => ({
            exitCode: 0,
            stdout: JSON.stringify(units.map((unit) => ({ unit }))),
            stderr: '',
            timedOut: false,
          }),
        },
        config,
      );
    const broken = {
      files: realFiles,
      signal: new AbortController().signal,
      exec: () => Promise.reject(new Error('no bus')),
    };
    assert.equal((await failedUnitsCheck(broken, config)).result, 'unknown');
    assert.deepEqual(await found('apt-daily.service'), { result: 'ok', sentence: 'None.' });
    await recordFailed(realFiles, dir, { at: '2026-01-01T00:00:00Z', slot: 'a', units: ['old.service'] });
    const warned = await found('old.service', 'new.service');
    assert.equal(warned.result, 'warn');
    assert.equal(warned.sentence, 'old.service (failed before the last update), new.service.');
  });
});
