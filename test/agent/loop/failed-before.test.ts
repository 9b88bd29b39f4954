/** A unit that had failed before the update is not held against the release; one that fails in it is. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { failedBeforeFormat, readFailedBefore, recordFailed } from '../../../src/agent/loop/failed-before.ts';
import { noteFailed, proveHealth } from '../../../src/agent/loop/health.ts';
import { resolveConfig } from '../../../src/config/config.ts';
import { realClock } from '../../../src/system/clock.ts';
import { type Files, realFiles } from '../../../src/system/files.ts';
import { silentLog } from '../../../src/system/log.ts';
import type { Exec } from '../../../src/system/process/exec.ts';
import { noSignal } from '../../support/bundles.ts';

const AT = '2026-01-02T03:04:05.000Z';

/** A host whose failed units can be changed; health programs there are none. */
async function onHost(
  check: (
    host: Readonly<{
      dir: string;
      failed: (...units: string[]) => void;
      silent: () => void;
      leave: (files?: Files) => Promise<void>;
      prove: (more?: string) => Promise<string>;
    }>,
  ) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-failed-'));
  let answer: string | undefined = '[]';
  const exec: Exec = async (_program, args) => {
    const said = (stdout: string, exitCode = 0) => ({ exitCode, stdout, stderr: '', timedOut: false });
    if (args[0] === 'list-units') return answer === undefined ? said('', 1) : said(answer);
    return said(args.includes('--') ? 'Id=web.service\nActiveState=failed\nSubState=failed\nLoadState=loaded\n' : '');
  };
  const config = (more: string) =>
    resolveConfig([
      {
        path: 'test',
        text: `agent.state_dir = "${dir}"\nhealth.directories = ["${dir}/health.d"]\nhealth.retry_seconds = 0\n${more}`,
      },
    ]);
  const world = { exec, files: realFiles, clock: realClock, log: silentLog };
  try {
    await check({
      dir,
      failed: (...units) => {
        answer = JSON.stringify(units.map((unit) => ({ unit })));
      },
      silent: () => {
        answer = undefined;
      },
      leave: (files = realFiles) => noteFailed(config(''), { ...world, files }, 'a', noSignal),
      prove: async (more = '') => {
        const verdict = await proveHealth(config(more), world, 'b', noSignal);
        return verdict.ok ? 'healthy' : verdict.reason;
      },
    });
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('a unit that had failed before the update is not held against the release, and one that has failed since is', () =>
  onHost(async ({ failed, leave, prove }) => {
    failed('backup.service');
    await leave();
    assert.equal(await prove(), 'healthy');
    failed('backup.service', 'web.service');
    assert.equal(await prove(), 'systemd units: web.service failed');
  }));

test('a unit that is required must run, whatever it did before', () =>
  onHost(async ({ failed, leave, prove }) => {
    failed('web.service');
    await leave();
    assert.match(await prove('health.required_units = ["web.service"]\n'), /web\.service is failed/);
  }));

test('what had been mended before the update and fails again counts', () =>
  onHost(async ({ failed, leave, prove }) => {
    failed('web.service');
    await leave();
    failed();
    await leave();
    failed('web.service');
    assert.match(await prove(), /web\.service failed/);
  }));

test('without a record, or with one that is damaged or of this very system, every failed unit counts', () =>
  onHost(async ({ dir, failed, prove }) => {
    failed('web.service');
    assert.match(await prove(), /web\.service failed/);
    for (const text of ['', '{', '{"schema":2}', `{"schema":1,"at":"${AT}","slot":"c","units":["web.service"]}`]) {
      await writeFile(join(dir, 'failed-units.json'), text);
      assert.match(await prove(), /web\.service failed/);
    }
    await recordFailed(realFiles, dir, { at: AT, slot: 'b', units: ['web.service'] });
    assert.match(await prove(), /web\.service failed/);
    assert.equal(await readFailedBefore(realFiles, dir, 'b'), undefined);
    assert.deepEqual((await readFailedBefore(realFiles, dir, 'a'))?.units, ['web.service']);
  }));

test('where systemd does not tell what has failed, nothing is excused, and the host leaves all the same', () =>
  onHost(async ({ dir, failed, silent, leave, prove }) => {
    await recordFailed(realFiles, dir, { at: AT, slot: 'a', units: ['web.service'] });
    silent();
    await leave();
    failed('web.service');
    assert.match(await prove(), /web\.service failed/);
  }));

test('a record that cannot be written keeps the host, and the disk is named', () =>
  onHost(async ({ leave }) => {
    const full = async (): Promise<never> => {
      throw Object.assign(new Error('no space'), { code: 'ENOSPC', syscall: 'write' });
    };
    await assert.rejects(leave({ ...realFiles, write: full }), { code: 'state-unwritable' });
  }));

test('whatever systemd says has failed, the record can be read again, and is short', () =>
  onHost(async ({ dir }) => {
    const names = fc.oneof(fc.string(), fc.stringMatching(/^[a-z@\\:.-]{1,300}$/));
    await fc.assert(
      fc.asyncProperty(fc.array(names, { maxLength: 400 }), async (units) => {
        await recordFailed(realFiles, dir, { at: AT, slot: 'a', units });
        const bytes = await readFile(join(dir, 'failed-units.json'));
        const kept = failedBeforeFormat.read(bytes).units;
        assert.ok(kept.length <= 256 && kept.every((unit) => units.includes(unit)));
        assert.ok(bytes.length < 100_000);
      }),
      { numRuns: 50 },
    );
  }));
