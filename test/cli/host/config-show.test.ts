/** What `config show` says of settings that came from etcd. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { configShow } from '../../../src/cli/host/config-show.ts';
import { writeFleetCache } from '../../../src/config/fleet-cache.ts';
import { realFiles } from '../../../src/system/files.ts';
import { runCommand } from '../../support/command-line.ts';

const PREFIX = 'tandem/settings/v1/';
const setting = (path: string, written: unknown, line: number) => {
  const key = `${PREFIX}all/10.toml`;
  return { path, key, origin: `etcd:${key}:${line}`, written };
};

async function host(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-show-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const text = `agent.state_dir = "${dir}"\nfleet.settings_prefix = "${PREFIX}"\nreboot.deadline_days = 3\n`;
  await writeFile(join(dir, '50.toml'), text);
  return { dir, show: (...more: readonly string[]) => runCommand(configShow, dir, ['--dir', dir, ...more]) };
}

test('a value from etcd has its key and line as its origin, a file goes before it, and one that waits says so', async (t) => {
  const { dir, show } = await host(t);
  const early = [setting('reboot.deadline_days', 9, 1), setting('reboot.automatic', false, 2)];
  const latest = [...early, setting('host.group', 'web', 3)];
  await writeFleetCache(realFiles, dir, {
    prefix: PREFIX,
    savedAt: '2026-11-23T07:00:00.000Z',
    latest,
    started: early,
  });
  const text = await show();
  assert.match(text, /^reboot\.deadline_days +3 days +\/.*50\.toml:3$/m);
  assert.match(text, /^reboot\.automatic +false +etcd:tandem\/settings\/v1\/all\/10\.toml:2$/m);
  assert.match(text, /^host\.group +"web" +etcd:tandem\/settings\/v1\/all\/10\.toml:3, when the agent starts$/m);
  const { settings } = JSON.parse(await show('--json'));
  const waiting = settings.filter((one: { waits?: true }) => one.waits);
  assert.deepEqual(
    waiting.map((one: { path: string }) => one.path),
    ['host.group'],
  );
});

test('what is kept of etcd and damaged is named, and the files are shown', async (t) => {
  const { dir, show } = await host(t);
  await writeFile(join(dir, 'fleet-settings.json'), 'not JSON');
  assert.match(await show(), /^reboot\.deadline_days +3 days/m);
  assert.deepEqual(
    JSON.parse(await show('--json')).faults.map(({ code }: { code: string }) => code),
    ['settings-cache-invalid'],
  );
});

test('no login and no signed query is shown, in lists and single values, as text and as JSON', async (t) => {
  const { dir, show } = await host(t);
  await writeFile(
    join(dir, '60.toml'),
    `[repository]
url = "https://u:sesame1@main.example/repo"
mirrors = ["https://u:sesame2@one.example/repo", "https://two.example/repo?sig=sesame3"]
proxy = "http://sesame4@proxy.example:3128"
[lock]
url = "https://lock.example/?token=sesame5"
endpoints = ["https://u:sesame6@etcd1.example:2379"]
[fleet]
url = "https://fleet.example/#sesame7"
`,
  );
  for (const said of [await show(), await show('--json')]) {
    assert.doesNotMatch(said, /sesame/);
    for (const name of ['main', 'one', 'two', 'proxy', 'lock', 'etcd1', 'fleet'])
      assert.match(said, new RegExp(`${name}\\.example`));
  }
});
