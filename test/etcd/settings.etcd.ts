/** Settings for the fleet in a real etcd: hosts hear them at once, do without etcd, and are not led astray. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { createGates } from '../../src/agent/gates/host-gates.ts';
import { liveGates } from '../../src/agent/settings/live.ts';
import { fleetSettingsOf } from '../../src/agent/settings/open.ts';
import type { FleetSettings } from '../../src/agent/settings/settings.ts';
import { type Layers, readLayers } from '../../src/config/config.ts';
import { realClock } from '../../src/system/clock.ts';
import { realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { readMachineId } from '../../src/system/machine-id.ts';
import { realRandom } from '../../src/system/random.ts';
import { noSignal } from '../support/bundles.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { etcdOf } from '../support/lock-hosts.ts';
import { noFiles } from '../support/no-files.ts';

const STAGED = '2026-11-20T00:00:00.000Z';
const CLOSED = '[[reboot.black_out]]\nname = "sale"\ndates = ["01-01"]\nduration = "366d"\n';

let cluster: EtcdCluster;
let prefixes = 0;

before(async () => {
  cluster = await EtcdCluster.start();
});
after(() => cluster[Symbol.asyncDispose]());

/** A host whose agent may be started again and again; `local` is what its files say besides. */
async function host(t: TestContext, local = '', endpoints = cluster.endpoints) {
  const stateDir = await mkdtemp(join(tmpdir(), 'tandem-settings-'));
  const ending = new AbortController();
  t.after(() => {
    ending.abort();
    return rm(stateDir, { recursive: true, force: true });
  });
  const prefix = `tandem/settings/v1/p${prefixes++}/`;
  const text = [
    `fleet.settings_prefix = "${prefix}"`,
    `lock.endpoints = ${JSON.stringify(endpoints)}`,
    `agent.state_dir = "${stateDir}"`,
    local,
  ].join('\n');
  await realFiles.write(join(stateDir, '50.toml'), [Buffer.from(text)]);
  // Nobody waits longer than a moment, so that a test does not.
  const clock = {
    ...realClock,
    sleep: (ms: number, stop?: AbortSignal) => realClock.sleep(Math.min(ms, 20_000) / 20, stop),
  };
  const world = { files: realFiles, clock, random: realRandom, log: silentLog, version: 'test', signal: ending.signal };
  const layers = (): Promise<Layers> => readLayers(realFiles, [stateDir]);
  return {
    prefix,
    layers,
    put: (name: string, value: string) => cluster.ctl(['put', `${prefix}${name}`, value]),
    start: async (): Promise<FleetSettings> => {
      const settings = await fleetSettingsOf(await layers(), world);
      assert.ok(settings);
      return settings;
    },
    follow: (settings: FleetSettings): void => void settings.follow(ending.signal),
    gates: (settings: FleetSettings) =>
      liveGates(settings.current, (config) =>
        createGates(
          config,
          {
            clock,
            exec: async () => ({ exitCode: 0, stdout: '{"data":[[]]}', stderr: '', timedOut: false }),
            files: noFiles,
            probe: async () => ({ ok: true }),
          },
          'machine',
        ),
      ),
  };
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await realClock.sleep(10);
}

test('a black-out that is put into etcd closes the gates of a running agent, and opens them when it is deleted', async (t) => {
  const { prefix, put, start, follow, gates } = await host(t);
  const settings = await start();
  const live = gates(settings);
  const open = async (): Promise<boolean> => (await live.ask(STAGED, false)).open;
  follow(settings);
  assert.equal(await open(), true);
  await put('all/10-sale.toml', CLOSED);
  await until(async () => !(await open()));
  await cluster.ctl(['del', `${prefix}all/10-sale.toml`]);
  await until(open);
});

test('a local file wins; host beats group beats all; the origin of each value is its key', async (t) => {
  const { put, start, layers } = await host(t, 'reboot.deadline_days = 3');
  await put('all/10.toml', 'reboot.deadline_days = 9\nhost.group = "web"\npoll.jitter_minutes = 1\nlock.group = "all"');
  await put('group/web/10.toml', 'poll.jitter_minutes = 2\nlock.group = "web"');
  await put(`host/${await readMachineId(realFiles)}/10.toml`, 'lock.group = "mine"');
  const { config } = await start();
  assert.deepEqual(
    [config.reboot.deadlineDays, config.host.group, config.poll.jitterMinutes, config.lock.group],
    [3, 'web', 2, 'mine'],
  );
  const { cache } = await layers();
  assert.ok(
    cache?.latest.some(({ origin }) => /^etcd:tandem\/settings\/v1\/p\d+\/group\/web\/10\.toml:1$/.test(origin)),
  );
});

test('etcd is gone: the host starts with what it kept, and hears of changes again when etcd is back', async (t) => {
  await using own = await EtcdCluster.start({ members: 1 });
  const { prefix, start, follow } = await host(t, '', own.endpoints);
  await own.ctl(['put', `${prefix}all/10.toml`, 'reboot.deadline_days = 5']);
  await start();
  await own.kill(0);
  const settings = await start();
  assert.equal(settings.config.reboot.deadlineDays, 5);
  assert.equal(settings.status().error?.code, 'etcd-unavailable');
  follow(settings);
  own.launch(0, 'existing');
  await own.ready();
  await own.ctl(['put', `${prefix}all/10.toml`, 'reboot.deadline_days = 6']);
  await until(() => settings.current().reboot.deadlineDays === 6);
  await until(() => settings.status().error === undefined);
});

test('a wrong value is named and the last good one stays; what only files may set is refused', async (t) => {
  const { put, start, follow } = await host(t);
  await put('all/10.toml', 'reboot.deadline_days = 5');
  const settings = await start();
  follow(settings);
  await put('all/10.toml', 'reboot.deadline_days = -5\nrepository.channel = "evil"');
  await until(() => settings.status().faults.length === 2);
  assert.deepEqual(
    settings.status().faults.map(({ code }) => code),
    ['setting-invalid', 'setting-local-only'],
  );
  assert.equal(settings.current().reboot.deadlineDays, 5);
  assert.equal(settings.current().repository.channel, 'stable');
});

test('the member that is watched dies and etcd compacts: nothing is missed', async (t) => {
  const { prefix, put, start, follow } = await host(t, 'poll.jitter_minutes = 0');
  const settings = await start();
  follow(settings);
  for (let round = 1; round <= 6; round++) {
    if (round % 3 === 0) {
      const victim = round / 3 - 1;
      await cluster.kill(victim);
      cluster.launch(victim, 'existing');
      await cluster.ready(victim);
    }
    await put('all/10.toml', `reboot.deadline_days = ${round}`);
    const { out } = await cluster.ctl(['get', prefix, '--prefix', '-w', 'json']);
    const revision = /"revision":(\d+)/.exec(out)?.[1] ?? '';
    await cluster.ctl(['compact', revision]);
    await until(() => settings.current().reboot.deadlineDays === round);
  }
});

test('a watch that asks for what was compacted away says so instead of waiting', async () => {
  const etcd = etcdOf({ endpoints: cluster.endpoints });
  await etcd.txn({ ops: [{ put: 'compacted/x', value: Buffer.from('1') }] });
  const { revision } = await etcd.txn({ ops: [{ put: 'compacted/x', value: Buffer.from('2') }] });
  await cluster.ctl(['compact', revision]);
  assert.equal(await etcd.watch('compacted/', '0', noSignal), 'compacted');
});

test('a host may only read below the prefix, and needs no more', async (t) => {
  await using own = await EtcdCluster.start({ members: 1, flags: ['--user', 'root:root'] });
  const ctl = (...args: readonly string[]) => own.ctl(args);
  await ctl('user', 'add', 'root:root');
  await ctl('user', 'add', 'host:secret');
  await ctl('user', 'grant-role', 'root', 'root');
  await ctl('role', 'add', 'tandem');
  await ctl('role', 'grant-permission', 'tandem', '--prefix=true', 'read', 'tandem/settings/v1/');
  await ctl('user', 'grant-role', 'host', 'tandem');
  await ctl('auth', 'enable');
  const dir = await mkdtemp(join(tmpdir(), 'tandem-secret-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await realFiles.write(join(dir, 'password'), [Buffer.from('secret\n')]);
  const login = `lock.user = "host"\nlock.password_file = "${join(dir, 'password')}"`;
  const { prefix, start, follow } = await host(t, login, own.endpoints);
  const settings = await start();
  assert.equal(settings.status().error, undefined);
  follow(settings);
  await ctl('put', `${prefix}all/10.toml`, 'reboot.deadline_days = 8');
  await until(() => settings.current().reboot.deadlineDays === 8);
  assert.equal(settings.status().error, undefined);
});
