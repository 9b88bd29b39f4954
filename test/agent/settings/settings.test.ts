/** The settings of the fleet while an agent runs: heard, kept, kept up with, and never in its way. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { untilOutdated } from '../../../src/agent/settings/live.ts';
import { type FleetSettings, openFleetSettings } from '../../../src/agent/settings/settings.ts';
import { explainConfig, resolveConfig } from '../../../src/config/config.ts';
import { readFleetCache } from '../../../src/config/fleet-cache.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { State } from '../../../src/model.ts';
import { realFiles } from '../../../src/system/files.ts';
import { silentLog } from '../../../src/system/log.ts';
import { SettingsEtcd, StoppedClock, until } from '../../support/settings-etcd.ts';

const PREFIX = 'tandem/settings/v1/';
const ALL = `${PREFIX}all/10.toml`;
const MACHINE = '0123456789abcdef0123456789abcdef';
const random = { fraction: () => 0.5, bytes: () => new Uint8Array() };

/** A host with a state folder, whose agent may be started again and again. */
async function host(t: TestContext, { local = '', etcd = new SettingsEtcd(), files = realFiles } = {}) {
  const stateDir = await mkdtemp(join(tmpdir(), 'tandem-settings-'));
  const ending = new AbortController();
  t.after(() => {
    ending.abort();
    return rm(stateDir, { recursive: true, force: true });
  });
  const clock = new StoppedClock();
  const fragments = [{ path: '/etc/tandem/config.d/50.toml', text: local }];
  const world = { etcd, prefix: PREFIX, stateDir, machine: MACHINE, files, clock, random, log: silentLog };
  const kept = () => readFleetCache(realFiles, stateDir, PREFIX);
  return {
    etcd,
    clock,
    stateDir,
    kept,
    start: async (isBetweenAttempts = true): Promise<FleetSettings> => {
      const layers = { fragments, unknown: [], ...(await kept()) };
      return openFleetSettings(layers, { ...world, isBetweenAttempts, signal: ending.signal });
    },
    follow: (settings: FleetSettings): void => void settings.follow(ending.signal),
    signal: ending.signal,
  };
}

const codesOf = (settings: FleetSettings): string[] => settings.status().faults.map(({ code }) => code);

test('what is in etcd counts from the start; files count more; each group and each host may differ', async (t) => {
  const { etcd, start } = await host(t, { local: 'reboot.session_grace_minutes = 7' });
  etcd.put(
    ALL,
    'host.group = "db"\nreboot.session_grace_minutes = 1\nreboot.deadline_days = 1\npoll.jitter_minutes = 1',
  );
  etcd.put(`${PREFIX}group/web/10.toml`, 'reboot.deadline_days = 2\npoll.jitter_minutes = 2');
  etcd.put(`${PREFIX}group/db/10.toml`, 'reboot.deadline_days = 99');
  etcd.put(`${PREFIX}host/${MACHINE}/10.toml`, 'host.group = "web"\npoll.jitter_minutes = 3');
  etcd.put(`${PREFIX}host/fedcba9876543210fedcba9876543210/10.toml`, 'reboot.automatic = false');
  const { config } = await start();
  assert.deepEqual(
    [config.host.group, config.reboot.sessionGraceMinutes, config.reboot.deadlineDays, config.poll.jitterMinutes],
    ['web', 7, 2, 3],
  );
  assert.equal(config.reboot.automatic, true);
});

test('without etcd what was kept on disk counts, and the status says so', async (t) => {
  const { etcd, start } = await host(t);
  etcd.put(ALL, 'reboot.deadline_days = 5');
  await start();
  etcd.ill = 'nowhere';
  const settings = await start();
  assert.equal(settings.current().reboot.deadlineDays, 5);
  const { readAt, error } = settings.status();
  assert.deepEqual([readAt, error?.code], [undefined, 'etcd-unavailable']);
});

test('an etcd that says nothing holds the start up for ten seconds and no longer', async (t) => {
  const { etcd, clock, start } = await host(t);
  etcd.ill = 'silent';
  const starting = start();
  await until(() => clock.asked.length === 1);
  assert.deepEqual(clock.asked, [10_000]);
  clock.pass(10_000);
  assert.equal((await starting).config.host.group, 'default');
});

test('a change is heard at once where it may be; the rest waits for the next start, and the status names it', async (t) => {
  const { etcd, clock, start, follow } = await host(t);
  const settings = await start();
  follow(settings);
  await until(() => etcd.listened.length === 1);
  const before = settings.changed();
  etcd.put(ALL, 'reboot.automatic = false\nhost.group = "web"');
  await until(() => clock.asked.includes(3_000));
  clock.pass(3_000);
  await until(() => before.aborted);
  assert.equal(settings.current().reboot.automatic, false);
  assert.deepEqual([settings.config.host.group, settings.status().pending], ['default', ['host.group']]);
  const next = await start();
  assert.deepEqual([next.config.host.group, next.status().pending], ['web', []]);
});

test('an attempt ends under the settings with which it was begun', async (t) => {
  const { etcd, start } = await host(t);
  etcd.put(ALL, 'lock.group = "blue"');
  await start();
  etcd.put(ALL, 'lock.group = "green"');
  assert.equal((await start(false)).config.lock.group, 'blue');
  assert.equal((await start(false)).config.lock.group, 'blue');
  assert.equal((await start(true)).config.lock.group, 'green');
});

test('a wrong value is named, the last good one stays, also after a start without etcd', async (t) => {
  const { etcd, clock, start, follow } = await host(t);
  etcd.put(ALL, 'reboot.deadline_days = 5\nreboot.automatic = false');
  const settings = await start();
  follow(settings);
  await until(() => etcd.listened.length === 1);
  etcd.put(ALL, 'reboot.deadline_days = "soon"\nreboot.automatic = true\nrepository.url = "http://evil/"');
  await until(() => clock.asked.includes(3_000));
  clock.pass(3_000);
  await until(() => codesOf(settings).length === 2);
  assert.deepEqual(codesOf(settings), ['setting-invalid', 'setting-local-only']);
  assert.deepEqual([settings.current().reboot.deadlineDays, settings.current().reboot.automatic], [5, true]);
  assert.equal(settings.current().repository.url, undefined);
  await until(() => etcd.listened.length === 2);
  etcd.ill = 'nowhere';
  const { reboot } = (await start()).current();
  assert.deepEqual([reboot.deadlineDays, reboot.automatic], [5, true]);
});

test('more documents than are read are named', async (t) => {
  const { etcd, start } = await host(t);
  for (let index = 10; index < 30; index++) etcd.put(`${PREFIX}all/${index}`, '');
  const [fault] = (await start()).status().faults;
  assert.deepEqual([fault?.code, fault?.message.includes('20 keys')], ['setting-invalid', true]);
});

test('it listens after the revision that it has read, so that nothing is missed in between', async (t) => {
  const { etcd, clock, start, follow } = await host(t);
  const settings = await start();
  follow(settings);
  await until(() => etcd.listened.length === 1);
  etcd.put(ALL, 'reboot.deadline_days = 1');
  await until(() => clock.asked.includes(3_000));
  etcd.put(ALL, 'reboot.deadline_days = 2');
  clock.pass(3_000);
  await until(() => etcd.listened.length === 2);
  assert.equal(settings.current().reboot.deadlineDays, 2);
  assert.deepEqual(etcd.listened, ['1', '3']);
});

test('after a compaction it reads again and goes on, not faster than once a second', async (t) => {
  const { etcd, clock, start, follow } = await host(t);
  const settings = await start();
  follow(settings);
  for (let round = 1; round <= 5; round++) {
    await until(() => etcd.listened.length === round);
    const [asked, reads] = [clock.asked.length, etcd.reads];
    etcd.compact();
    await until(() => clock.asked.length > asked);
    assert.equal(etcd.reads, reads);
    assert.ok((clock.asked.at(-1) ?? 0) >= 1_000);
    clock.pass(5_000);
  }
});

test('where watching fails it reads at ever longer intervals, up to five minutes', async (t) => {
  const { etcd, clock, start, follow } = await host(t);
  const settings = await start();
  etcd.ill = 'no watch';
  follow(settings);
  const waits: number[] = [];
  for (let round = 1; round <= 9; round++) {
    await until(() => etcd.reads === round + 1 && settings.status().error !== undefined);
    await until(() => clock.asked.length === round * 2 + 1);
    waits.push(clock.asked.at(-1) ?? 0);
    if (round === 9) etcd.put(ALL, 'reboot.deadline_days = 4');
    clock.pass(waits.at(-1) ?? 0);
  }
  assert.deepEqual(waits.slice(0, 3), [3_500, 6_000, 11_000]);
  assert.equal(waits.at(-1), 151_000);
  await until(() => settings.current().reboot.deadlineDays === 4);
  await until(() => settings.status().error?.code === 'etcd-unavailable');
});

test('a watch that is silent for minutes is not believed: it reads again', async (t) => {
  const { etcd, clock, start, follow } = await host(t);
  const settings = await start();
  follow(settings);
  await until(() => etcd.listened.length === 1);
  const { reads } = etcd;
  clock.pass(10 * 60_000);
  await until(() => etcd.listened.length === 2);
  assert.deepEqual([etcd.reads, settings.status().error], [reads + 1, undefined]);
});

test('a state folder that cannot be written does not keep settings from counting, and is caught up with', async (t) => {
  let isFull = true;
  const write: typeof realFiles.write = (...all) =>
    isFull ? Promise.reject(new UpdateError('unexpected')) : realFiles.write(...all);
  const { etcd, start, follow, kept } = await host(t, { files: { ...realFiles, write } });
  etcd.put(ALL, 'reboot.deadline_days = 5');
  const settings = await start();
  assert.equal(settings.config.reboot.deadlineDays, 5);
  assert.equal((await kept()).cache, undefined);
  isFull = false;
  follow(settings);
  await until(() => etcd.listened.length === 1);
  assert.equal(resolveConfig([], (await kept()).cache?.started).reboot.deadlineDays, 5);
});

test('what is kept tells the key and the line of each value', async (t) => {
  const { etcd, start, kept } = await host(t);
  etcd.put(ALL, '# ours\nreboot.deadline_days = 5');
  await start();
  const { cache } = await kept();
  const shown = explainConfig([], cache?.latest).find(({ path }) => path === 'reboot.deadline_days');
  assert.equal(shown?.origin, `etcd:${ALL}:2`);
  assert.deepEqual(resolveConfig([], cache?.started).reboot.deadlineDays, 5);
});

test('an agent ends, to be started anew, only for settings that need it, and only while nothing is under way', async (t) => {
  const { clock, signal } = await host(t);
  let pending: string[] = [];
  let state = { kind: 'idle' } as State;
  let isResting = true;
  let isOver = false;
  const settings = { status: () => ({ prefix: PREFIX, faults: [], pending }) };
  const world = { clock, random, log: silentLog, signal };
  void untilOutdated(settings, { state: () => state, isResting: () => isResting }, world).then(() => {
    isOver = true;
  });
  const half = async (): Promise<void> => {
    const { length } = clock.asked;
    clock.pass(10 * 60_000);
    await until(() => isOver || clock.asked.length > length);
  };
  await half();
  [pending, state] = [['host.group'], { kind: 'staged' } as State];
  await half();
  assert.equal(isOver, false);
  [state, isResting] = [{ kind: 'idle' }, false];
  await half();
  assert.equal(isOver, false);
  isResting = true;
  await half();
  assert.equal(isOver, true);
});
