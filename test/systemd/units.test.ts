/** The units are what systemd accepts, and keep what was promised of them. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { LEAVING_MS } from '../../src/agent/loop/health.ts';
import { CONFIG_DIRS, loadConfig, resolveConfig } from '../../src/config/config.ts';
import { spanMs } from '../../src/reboot/health/dead-man-timer.ts';
import { realFiles } from '../../src/system/files.ts';

const UNITS = join(import.meta.dirname, '..', '..', 'systemd');
/** Units that only those install who want them: monitoring, and two packages. */
const PACKAGING = join(import.meta.dirname, '..', '..', 'packaging');
const OPTIONAL = ['monitoring', 'tandem-server', 'tandem-publisher'].flatMap((folder) =>
  readdirSync(join(PACKAGING, folder))
    .filter((name) => /\.(service|timer|socket)$/.test(name))
    .map((name) => join(PACKAGING, folder, name)),
);
const SYSTEM_UNITS = '/usr/lib/systemd/system';
const MOST_EXPOSURE = 2.5;

const unit = (name: string): Promise<string> => readFile(join(UNITS, name), 'utf8');

function tool(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, error?.message ?? `${program} ${args.join(' ')}:\n${stdout}${stderr}`);
  return stdout + stderr;
}

async function inDir(check: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-units-'));
  try {
    await check(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

for (const file of [
  join(UNITS, 'tandem-agent.service'),
  ...OPTIONAL.filter((one) => /(server|publisher)\.service$/.test(one)),
])
  test(`the exposure of ${basename(file)} is at most ${MOST_EXPOSURE} of 10`, (t) => {
    const said = tool('systemd-analyze', ['security', '--offline=true', file]);
    const [, exposure] = /Overall exposure level for \S+: ([0-9.]+)/.exec(said) ?? [];
    t.diagnostic(`exposure of ${basename(file)}: ${exposure}`);
    assert.ok(Number(exposure) <= MOST_EXPOSURE, `exposure is ${exposure}`);
  });

test('the agent and the verdict start where any folder of settings holds a file or a system is on trial, and nowhere else', async () => {
  const conditions = (text: string): readonly string[] => text.match(/^Condition\w+=.*$/gm) ?? [];
  const agent = conditions(await unit('tandem-agent.service'));
  assert.deepEqual(conditions(await unit('tandem-confirm.service')), agent);
  const folders = CONFIG_DIRS;
  for (const folder of folders) assert.ok(agent.includes(`ConditionDirectoryNotEmpty=|${folder}`), folder);
  await inDir(async (root) => {
    const startsHere = (): boolean =>
      spawnSync('systemd-analyze', ['condition', ...agent.map((one) => one.replace('|', `|${root}`))]).status === 0;
    for (const folder of folders) await mkdir(join(root, folder), { recursive: true });
    assert.equal(startsHere(), false);
    for (const one of [...folders.map((folder) => `${folder}/10-x.toml`), '/var/lib/tandem/trial']) {
      await writeFile(join(root, one), '');
      assert.equal(startsHere(), true, one);
      await rm(join(root, one));
    }
    assert.equal(startsHere(), false);
  });
});

test('systemd finds no fault in any unit', async () => {
  await inDir(async (root) => {
    await cp(SYSTEM_UNITS, join(root, SYSTEM_UNITS), { recursive: true, verbatimSymlinks: true });
    for (const program of [
      'usr/bin/updatectl',
      'usr/bin/test',
      'usr/lib/tandem/tandem-dead-man',
      'usr/lib/tandem/tandem-machine-id',
    ]) {
      await mkdir(join(root, program, '..'), { recursive: true });
      await writeFile(join(root, program), '');
      await chmod(join(root, program), 0o755);
    }
    const names = (await readdir(UNITS)).filter((name) => /\.(service|timer)$/.test(name));
    assert.equal(names.length, 7);
    for (const name of names) await cp(join(UNITS, name), join(root, SYSTEM_UNITS, name));
    assert.equal(OPTIONAL.length, 6);
    for (const file of OPTIONAL) await cp(file, join(root, SYSTEM_UNITS, basename(file)));
    const paths = [...names, ...OPTIONAL].map((name) => join(SYSTEM_UNITS, basename(name).replace('@.', '@soft-b.')));
    const said = tool('systemd-analyze', ['verify', '--man=no', `--root=${root}`, ...paths]);
    assert.deepEqual(
      said.split('\n').filter((line) => line.includes('tandem')),
      [],
    );
  });
});

test('the agent is not ordered after boot-complete.target, which waits for its verdict', async () => {
  const settings = (await unit('tandem-agent.service')).split('\n').filter((line) => !line.startsWith('#'));
  assert.ok(!settings.some((line) => line.includes('boot-complete')));
  const confirm = await unit('tandem-confirm.service');
  for (const line of ['Before=boot-complete.target', 'RequiredBy=boot-complete.target', 'After=tandem-agent.service'])
    assert.ok(confirm.split('\n').includes(line), line);
});

test('the agent is started again for ever, and its watchdog watches', async () => {
  const agent = await unit('tandem-agent.service');
  for (const line of [
    'Restart=always',
    'StartLimitIntervalSec=0',
    'Type=notify',
    'NotifyAccess=all',
    'WatchdogSec=3min',
  ])
    assert.ok(agent.split('\n').includes(line), line);
  assert.ok(agent.indexOf('StartLimitIntervalSec') < agent.indexOf('[Service]'), 'StartLimit belongs to [Unit]');
  assert.doesNotMatch(agent, /^MemoryDenyWriteExecute=/m);
});

test('the dead man waits longer than whoever waits for the verdict', async () => {
  const [confirm, timer] = [await unit('tandem-confirm.service'), await unit('tandem-dead-man.timer')];
  const span = (text: string, pattern: RegExp): number => spanMs(pattern.exec(text)?.[1] ?? '') ?? Number.NaN;
  const wait = span(confirm, /--timeout (.+)$/m);
  const limit = span(confirm, /^TimeoutStartSec=(.+)$/m);
  const deadMan = span(timer, /^OnActiveSec=(.+)$/m);
  assert.ok(wait < limit && limit < deadMan, `${wait} ${limit} ${deadMan}`);
});

test('the dead man waits longer than a release may take to prove itself', async () => {
  const given = spanMs(/^OnActiveSec=(.+)$/m.exec(await unit('tandem-dead-man.timer'))?.[1] ?? '') ?? Number.NaN;
  const { startTimeoutSeconds, timeoutSeconds, retrySeconds } = resolveConfig([]).health;
  assert.ok((startTimeoutSeconds + 2 * timeoutSeconds + retrySeconds) * 1000 + LEAVING_MS < given);
});

test('the group and the folders are made by the tools that read our files', async () => {
  await inDir(async (root) => {
    await mkdir(join(root, 'etc'));
    tool('systemd-sysusers', [`--root=${root}`, join(UNITS, 'tandem.sysusers')]);
    assert.match(await readFile(join(root, 'etc/group'), 'utf8'), /^tandem:/m);
    tool('systemd-tmpfiles', ['--create', `--root=${root}`, join(UNITS, 'tandem.tmpfiles')]);
    assert.deepEqual((await readdir(join(root, 'run'))).concat(await readdir(join(root, 'var/lib'))), [
      'tandem',
      'tandem',
    ]);
  });
});

test('the devices that the jump unit opens belong to root alone', async () => {
  const settings = (await unit('tandem-jump@.service')).split('\n');
  for (const line of ['User=root', 'Group=root', 'UMask=0077']) assert.ok(settings.includes(line), line);
});

test('what the jump unit mounts is seen by systemd: no setting gives it a mount namespace', async () => {
  const settings = (await unit('tandem-jump@.service')).split('\n').filter((line) => !line.startsWith('#'));
  const apart =
    /^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|Exec|NoExec|Bind|Temporary|Root|Mount|Dynamic|RuntimeDir|StateDir|ProcSubset)\w*=/;
  assert.deepEqual(
    settings.filter((line) => apart.test(line) && !line.startsWith('ExecStart=')),
    [],
  );
});

test('whoever else confirms boot entries leaves that to an agent that runs', async () => {
  const socket = join(resolveConfig([]).agent.runtimeDir, 'control.sock');
  assert.match(await unit('systemd-bless-boot.conf'), new RegExp(`^ConditionPathExists=!${socket}$`, 'm'));
});

test('every unit that is to be enabled is in the preset', async () => {
  const preset = await unit('tandem.preset');
  for (const name of await readdir(UNITS))
    assert.equal((await unit(name)).includes('[Install]'), preset.includes(`enable ${name}\n`), name);
});

test('every unit of an optional package that is to be enabled is in its preset', async () => {
  for (const file of OPTIONAL.filter((one) => !one.includes('monitoring'))) {
    const preset = await readFile(join(dirname(file), `${basename(dirname(file))}.preset`), 'utf8');
    const isEnabled = preset.includes(`enable ${basename(file)}\n`);
    assert.equal((await readFile(file, 'utf8')).includes('[Install]'), isEnabled, file);
  }
});

test('a system that starts softly forgets the locks, the notice and the grace of the one before, and an update of the package does not', () =>
  inDir(async (root) => {
    const run = join(root, 'run/tandem');
    await mkdir(join(run, 'inhibit.d'), { recursive: true });
    await mkdir(join(root, 'etc'));
    tool('systemd-sysusers', [`--root=${root}`, join(UNITS, 'tandem.sysusers')]);
    const gone = ['inhibit.d/backup.1.json', 'reboot-required', 'users-told', 'trial-over'];
    const kept = ['prepared', 'firmware-refresh'];
    for (const name of [...gone, ...kept]) await writeFile(join(run, name), '');
    const apply = (...how: string[]): string =>
      tool('systemd-tmpfiles', ['--remove', ...how, `--root=${root}`, join(UNITS, 'tandem.tmpfiles')]);
    apply();
    assert.equal((await readdir(run)).length, 6, 'an update of the package');
    apply('--boot');
    assert.deepEqual((await readdir(run)).toSorted(), kept.toSorted());
  }));

test('settings and a token that come as credentials are written where the agent reads them', () =>
  inDir(async (dir) => {
    const [root, credentials] = [join(dir, 'root'), join(dir, 'credentials')];
    for (const path of [join(root, 'etc'), credentials]) await mkdir(path, { recursive: true });
    tool('systemd-sysusers', [`--root=${root}`, join(UNITS, 'tandem.sysusers')]);
    const command = ['systemd-tmpfiles', '--create', `--root=${root}`, join(UNITS, 'tandem.tmpfiles')];
    const create = (): string => tool('env', [`CREDENTIALS_DIRECTORY=${credentials}`, ...command]);
    const token = join(root, resolveConfig([]).fleet.tokenFile);
    create();
    await assert.rejects(readFile(token), { code: 'ENOENT' });
    for (const round of ['first', 'second']) {
      await writeFile(join(credentials, 'tandem.config'), `[host]\ngroup = "${round}"\n`);
      await writeFile(join(credentials, 'tandem.token'), `${round}-token\n`);
      create();
      assert.equal((await loadConfig(realFiles, [join(root, 'run/tandem/config.d')])).host.group, round);
      assert.equal(await readFile(token, 'utf8'), `${round}-token\n`);
      assert.equal((await stat(token)).mode & 0o777, 0o600);
    }
  }));
